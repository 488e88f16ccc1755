package report

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		s      Spread
		higher bool
		want   string
	}{
		{Spread{1.2, 1.1, 1.3, 5, 0}, true, better},
		{Spread{1.2, 1.1, 1.3, 5, 0}, false, worse},
		{Spread{0.8, 0.7, 0.9, 5, 0}, false, better},
		{Spread{0.8, 0.7, 1, 5, 0}, true, same},
		{Spread{0.8, 0.8, 0.8, 1, 0}, true, ""},
		{Spread{1.2, 1.1, 1.3, 3, 5}, true, ""}, // in two rounds the reference was zero
	} {
		if got := c.s.verdict(c.higher); got != c.want {
			t.Errorf("%v is %q, want %q", c.s, got, c.want)
		}
	}
}

// Zeros are measurements too: two are alike, one that is the subject's is a ratio of zero, and one that is the reference's
// leaves no ratio, which shows.
func TestZeros(t *testing.T) {
	r := &Report{}
	for round, v := range [][2]float64{{0, 0}, {2, 0}, {0, 3}, {2, 2}} {
		r.Add(key(Host, "a"), round, v[0])
		r.Add(key("falcon", "a"), round, v[1])
	}
	d := r.document()
	want := Spread{1, 0, 1, 3, 4}
	if s, ok := d.index.ratio("udp-single", "falcon", Host, "a", "receive rate"); s != want || !ok {
		t.Errorf("ratio %+v, want %+v", s, want)
	}
	if s, _ := d.index.overall(d.Results, "falcon", Host); s != want {
		t.Errorf("overall %+v, want %+v", s, want)
	}
	if c := compared(want, true); c.Verdict != "" || c.Range != "3 of 4 rounds" {
		t.Errorf("it is shown as %+v", c)
	}
}

func TestFactorDoesNotRoundAwayWhatMatters(t *testing.T) {
	for v, want := range map[float64]string{1: "1.00", 0.9996: "0.9996", 1.004: "1.004", 0.0012: "0.0012", 0: "0.00", 2.345: "2.35"} {
		if got := factor(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestOverall(t *testing.T) {
	r := &Report{}
	for round, v := range []float64{2, 2, 3} {
		r.Add(key(Host, "a"), round, 1)
		r.Add(key("falcon", "a"), round, v)
	}
	for round := range 2 { // the third round lacks b
		r.Add(key(Host, "b"), round, 1)
		r.Add(key("falcon", "b"), round, 8)
	}
	r.Add(key(Host, "zero"), 0, 0)
	r.Add(key("falcon", "zero"), 0, 1)
	d := r.document()
	s, parameters := d.index.overall(d.Results, "falcon", Host)
	if s.N != 2 || s.Median < 3.999 || s.Median > 4.001 || strings.Join(parameters, " ") != "a b" {
		t.Errorf("%v of %v", s, parameters)
	}
}

func TestPaper(t *testing.T) {
	for _, c := range []struct {
		experiment, parameter, metric string
		want                          float64 // of the overlay; 0: none
	}{
		{"udp-single", "16 B", "overload rate", 550},
		{"udp-single", "16 B", "loss-free rate", 0},
		{"udp-single", "256 B", "overload rate", 0},
		{"latency", "UDP 16 B at 100 kpps", "one way, p50", 200},
		{"latency", "UDP 16 B at 100 kpps", "one way, p99.9", 0},
		{"latency", "UDP 16 B, idle", "round trip, p50", 0},
		{"latency", "UDP overloaded, 16 B at 1000 kpps", "one way, p50", 1880},
		{"cache", "10 clients", "latency, p99", 68},
		{"cache", "1 client", "latency, p99", 1},
		{"cost", "UDP 16 B", "CPU, all cores", 1.61},
		{"cost", "UDP 16 B", "CPU, other cores", 0},
	} {
		if f, ok := Paper(c.experiment, c.parameter, c.metric); f.Overlay != c.want || ok != (c.want != 0) {
			t.Errorf("%v: %v", c, f)
		}
	}
}

// check is an A/A check: the second metric differs.
func check() *Report {
	r := &Report{}
	for round := range 4 {
		for i, s := range []string{prefixA + "falcon", prefixB + "falcon"} {
			r.Add(Key{"aa", s, "16 B", "rate", "kpps", true}, round, 100+float64((round+i)%2))
			r.Add(Key{"aa", s, "16 B", "p99", "us", false}, round, 10+float64(i))
			r.Add(Key{"aa", s, "16 B", "reordered", "ppm", false}, round, 0)
		}
	}
	return r
}

func TestPairs(t *testing.T) {
	verdicts := map[string]string{}
	for _, p := range check().document().pairs("aa") {
		verdicts[p.Metric] = p.Verdict()
	}
	if len(verdicts) != 3 || verdicts["rate, kpps ↑"] != "yes" || verdicts["p99, us ↓"] != "no" || verdicts["reordered, ppm ↓"] != "yes" {
		t.Error(verdicts)
	}
	if text := check().Brief(); !strings.Contains(text, "| falcon | p99, us ↓ | 16 B | 10 | 11 | 1.10 (1.10 … 1.10) | no |") {
		t.Error(text)
	}
	written(t, check())
}

func TestGaps(t *testing.T) {
	r := &Report{}
	for _, e := range []string{"web", "udp-single"} {
		r.Missing(e, "falcon-all", "not in this version")
		r.Missing(e, "falcon-static", "not in this version")
	}
	r.Missing("web", "falcon-all", "no wrk")
	gaps := r.document().gaps()
	want := []gap{{"falcon-static, falcon-all", "not in this version", "udp-single, web"}, {"falcon-all", "no wrk", "web"}}
	if len(gaps) != 2 || gaps[0] != want[0] || gaps[1] != want[1] {
		t.Errorf("%q", gaps)
	}
}

func TestOverviewsHaveNoIdleColumns(t *testing.T) {
	r := example()
	for _, s := range []string{Overlay, "falcon, bolt"} {
		r.Add(Key{"control", s, "5 endpoints", "CreateEndpoint", "ms", false}, 0, 3)
	}
	var subjects []string
	for _, o := range r.document().overviews() {
		subjects = append(subjects, o.Reference+": "+strings.Join(o.Subjects, "; "))
	}
	if got, want := strings.Join(subjects, "\n"), "docker-overlay: host; falcon <dynamic>\ndocker-overlay: falcon, bolt\nhost: docker-overlay; falcon <dynamic>"; got != want {
		t.Error(got)
	}
}
