package report

import "strings"

// Figure is what the paper (Lei et al., EuroSys'21) reports for an experiment: on two hosts of 20 cores with 100G and
// Linux 5.4. Only the ratios compare with ours.
type Figure struct {
	Experiment, Parameter, Metric, Unit string
	Host, Overlay, Falcon               float64 // zero: not reported
}

// figures are read off the paper's plots.
var figures = []Figure{
	{"udp-single", "16 B", "rate", "kpps", 2000, 550, 1300},
	{"udp-single", "1 KB", "rate", "kpps", 1950, 510, 1180},
	{"udp-single", "4 KB", "rate", "kpps", 550, 165, 480},
	{"udp-single", "64 KB", "rate", "kpps", 40, 18, 32},
	{"latency", "UDP 16 B at 400 kpps", "p50", "us", 155, 200, 180},
	{"latency", "UDP 16 B at 400 kpps", "p99", "us", 265, 450, 345},
	{"latency", "UDP overloaded", "p50", "us", 935, 1880, 1250},
	{"latency", "TCP overloaded", "p50", "us", 350, 1680, 560},
	{"latency", "TCP overloaded", "p99", "us", 720, 2800, 950},
	{"multi-flow", "UDP, at most", "rate", "of the overlay", 0, 1, 1.63},
	{"multi-flow", "TCP, at most", "rate", "of the overlay", 0, 1, 1.45},
	{"web", "at most", "operations", "of the overlay", 0, 1, 4},
	{"web", "average", "response time", "of the overlay", 0, 1, 0.63},
	{"cache", "10 clients", "average", "of the overlay", 0, 1, 0.5},
	{"cache", "10 clients", "p99", "us", 0, 68, 33},
	{"cache", "1 client", "p99", "of the overlay", 0, 1, 0.93},
	{"hotspot", "UDP, dynamic to static", "rate", "of static", 0, 1, 1.18},
	{"hotspot", "TCP, dynamic to static", "rate", "of static", 0, 1, 1.15},
	{"overload", "40 UDP flows, always on to threshold", "rate", "of threshold", 0, 1, 0.8},
	{"cost", "UDP 16 B at 500 kpps", "CPU, all cores", "of the host", 1, 1.61, 1.75},
}

// Paper finds the paper's figure for a measurement: the parameter begins with the figure's, the metric contains the
// figure's. Of a figure at some rate, the rate may differ. What is named a loss-free rate is not what the paper measured.
func Paper(experiment, parameter, metric string) (Figure, bool) {
	if strings.Contains(strings.ToLower(metric), "loss") {
		return Figure{}, false
	}
	for _, f := range figures {
		if f.Experiment == experiment && f.covers(parameter) && hasWords(metric, f.Metric) {
			return f, true
		}
	}
	return Figure{}, false
}

// hasWords tells whether a text contains another one as whole words: p99 is not in p99.9.
func hasWords(text, words string) bool {
	return strings.Contains(" "+spaced(text)+" ", " "+spaced(words)+" ")
}

func (f Figure) covers(parameter string) bool {
	if what, _, fixed := strings.Cut(f.Parameter, " at "); fixed && what != "" {
		ours, _, _ := strings.Cut(parameter, " at ")
		return strings.EqualFold(ours, what)
	}
	rest, ok := strings.CutPrefix(strings.ToLower(parameter), strings.ToLower(f.Parameter))
	return ok && (rest == "" || strings.ContainsAny(rest[:1], " ,;/("))
}

// of is the paper's value for a kind of subject.
func (f Figure) of(subject string) (float64, bool) {
	v := 0.0
	switch {
	case subject == Host:
		v = f.Host
	case subject == Overlay:
		v = f.Overlay
	case isFalcon(subject):
		v = f.Falcon
	}
	return v, v != 0
}

func paperOf(experiment string) []Figure {
	var of []Figure
	for _, f := range figures {
		if f.Experiment == experiment {
			of = append(of, f)
		}
	}
	return of
}
