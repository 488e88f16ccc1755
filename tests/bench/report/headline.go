package report

import (
	"slices"
	"strings"
)

// leading names the metrics by which an experiment is known, by their first words; at most leadingMost are shown. An
// experiment that is not listed, or has none of them, leads with its first; one with an empty list has no headline.
var leading = map[string][]string{
	"udp-single": {"overload rate", "loss-free rate"},
	"tcp-single": {"throughput, injected", "throughput, iperf3"},
	"latency":    {"round trip, p50", "round trip, p99", "one way, p99"},
	"multi-flow": {"UDP rate", "TCP throughput", "mixed: mice's latency"},
	"web":        {"operations", "response time, average", "response time, p99"},
	"cache":      {"operations", "latency, average", "latency, p99"},
	"hotspot":    {"rate during", "loss during", "time to recover"},
	"overload":   {"received rate", "p99 latency"},
	"cost":       {"CPU, all cores"},
	"control":    {"network connect", "CreateEndpoint", "container start", "memory of engine"},
	"stages":     {},
	"instrument": {},
	"aa":         {},
}

const leadingMost = 3

// leadingOf picks an experiment's leading metrics.
func (d *document) leadingOf(experiment string) []string {
	var metrics, picked []string
	for i := range d.Results {
		if r := &d.Results[i]; r.Experiment == experiment && !slices.Contains(metrics, r.Metric) {
			metrics = append(metrics, r.Metric)
		}
	}
	words, listed := leading[experiment]
	for _, w := range words {
		for _, m := range metrics {
			if len(picked) < leadingMost && strings.HasPrefix(spaced(m)+" ", spaced(w)+" ") && !slices.Contains(picked, m) {
				picked = append(picked, m)
			}
		}
	}
	if len(picked) == 0 && len(metrics) > 0 && !(listed && len(words) == 0) {
		return metrics[:1]
	}
	return picked
}

// spaced is a text's words in lower case, with a space between them.
func spaced(s string) string {
	between := func(c rune) bool {
		return !(c == '.' || c == '-' || c == '%' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z')
	}
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), between), " ")
}
