package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func key(subject, parameter string) Key {
	return Key{"udp-single", subject, parameter, "receive rate", "kpps", true}
}

func example() *Report {
	r := New(Metadata{Began: time.Unix(1e9, 0).UTC(), Kernel: "6.1"})
	for round := range 5 {
		for i, s := range []string{Host, Overlay, "falcon <dynamic>"} {
			r.Add(key(s, "16 B"), round, 1000/float64(i+1)+float64(round))
			r.Add(key(s, "1 KB"), round, 900/float64(i+1))
		}
	}
	lat := Key{"latency", Overlay, "UDP 16 B", "latency", "us", false}
	r.AddDistribution(lat, []Quantile{{0, 0}, {10, 0.5}, {900, 1}})
	r.AddSeries(Key{"hotspot", Host, "UDP", "rate", "kpps", true}, []Point{{0, 1}, {1, 5}})
	r.Missing("web", Host, "wrk is not there")
	r.Fail("cost", errors.New("broken"))
	return r
}

func written(t *testing.T, r *Report) map[string]string {
	t.Helper()
	dir, files := t.TempDir(), map[string]string{}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.json", "summary.md", "report.html"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(raw)
	}
	return files
}

func TestWrite(t *testing.T) {
	files := written(t, example())
	page := files["report.html"]
	if regexp.MustCompile(`<script|(src|href)="[^#]|url\(|@import`).MatchString(page) {
		t.Error("the page asks for something else")
	}
	for _, want := range []string{Host, Overlay, "falcon &lt;dynamic&gt;", "wrk is not there", "broken"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	pictures := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if charts := strings.Count(page, "<figure"); charts != 4 {
		t.Errorf("%d charts, want 4: ours, the paper's beside it, a distribution and a series", charts)
	}
	for _, p := range pictures {
		wellFormed(t, p)
	}
	for name, text := range files {
		if regexp.MustCompile(`\bNaN\b|[+-]Inf\b`).MatchString(text) {
			t.Errorf("%s has a number that is none", name)
		}
		if again := written(t, example())[name]; again != text {
			t.Errorf("%s differs the second time", name)
		}
	}
}

func wellFormed(t *testing.T, s string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadBack(t *testing.T) {
	dir := t.TempDir()
	if err := example().Write(dir); err != nil {
		t.Fatal(err)
	}
	back, err := Read(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range written(t, example()) {
		if written(t, back)[name] != want {
			t.Errorf("%s differs after reading back", name)
		}
	}
}

func TestRatioSkipsRounds(t *testing.T) {
	r := &Report{}
	for round, v := range []float64{10, 20, 0, 40} {
		r.Add(key(Host, "a"), round, v)
	}
	for round, v := range map[int]float64{0: 20, 1: 20, 2: 7, 9: 99} {
		r.Add(key("falcon", "a"), round, v)
	}
	m, low, high, ok := r.Ratio("udp-single", "falcon", Host, "a", "receive rate")
	if m != 1.5 || low != 1 || high != 2 || !ok {
		t.Errorf("ratio %v %v %v %v", m, low, high, ok)
	}
	if _, _, _, ok := r.Ratio("udp-single", "falcon", Overlay, "a", "receive rate"); ok {
		t.Error("a ratio to what is not there")
	}
}

func TestSpread(t *testing.T) {
	if s := spreadOf([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}); s != (Spread{5.5, 1, 9, 10, 0}) {
		t.Error(s)
	}
	if s := spreadOf([]float64{3, 1, 2}); s != (Spread{2, 1, 3, 3, 0}) {
		t.Error(s)
	}
}

func TestNotFinite(t *testing.T) {
	r := &Report{}
	r.Add(key(Host, "a"), 0, math.NaN())
	r.AddSeries(key(Host, "a"), []Point{{0, math.Inf(1)}})
	if r.Err() == nil || len(r.results) != 0 || len(r.series) != 0 {
		t.Error("taken as a sample")
	}
}

func TestEmpty(t *testing.T) {
	r := &Report{}
	written(t, r)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestNatural(t *testing.T) {
	for _, c := range [][2]string{{"16 B", "256 B"}, {"256 B", "1 KB"}, {"1 KB", "MTU"}, {"MTU", "64 KB"}, {"4 flows", "40 flows"}} {
		if natural(c[0], c[1]) >= 0 || natural(c[1], c[0]) <= 0 {
			t.Error(c)
		}
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, 3)
	at := time.Unix(0, 0)
	p.now = func() time.Time { return at }
	p.Step("a")
	at = at.Add(10 * time.Second)
	p.Step("b")
	if want := "[1 of 3] a (left: unknown)\n[2 of 3] b (left: about 20s)\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}
