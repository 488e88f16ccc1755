package report

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestSteps(t *testing.T) {
	for parameter, want := range map[string]step{
		"1 flow":                         {"n flows", 1},
		"40 flows":                       {"n flows", 40},
		"UDP, 8 containers":              {"UDP, n containers", 8},
		"130% of falcon's capacity":      {"n% of falcon's capacity", 130},
		"1 KB, 10 connections":           {"1 KB, n connections", 10},
		"UDP 16 B at 100 kpps":           {"UDP 16 B at n kpps", 100},
		"2 elephants, 10 mice, moderate": {"n elephants, n mices, moderate", 2},
		"2.5 Gbit/s":                     {"n Gbit/s", 2.5},
	} {
		if s, ok := stepOf(parameter); !ok || s.n != want.n || s.family != want.family && !strings.Contains(parameter, "mice") {
			t.Errorf("%s: %v", parameter, s)
		}
	}
	for _, parameter := range []string{"MTU", "16 B", "64 KB messages, offload on", "IPv4"} {
		if s, ok := stepOf(parameter); ok {
			t.Errorf("%s: %v", parameter, s)
		}
	}
}

func resultsOf(values map[string]float64, parameters ...string) []Result {
	var rs []Result
	for _, p := range parameters {
		rs = append(rs, Result{key(Host, p), []Sample{{0, values[p]}}})
	}
	return rs
}

func TestTrends(t *testing.T) {
	values := map[string]float64{}
	families, rest := trends(resultsOf(values, "1 flow", "2 flows", "40 flows", "16 B", "1 container", "2 containers", "2 elephants, 1 mouse", "2 elephants, 5 mice", "3 elephants, 2 mice"))
	if len(families) != 1 || len(families[0]) != 3 || len(rest) != 6 {
		t.Errorf("families %v, rest %v", families, rest)
	}
}

func TestFacets(t *testing.T) {
	values := map[string]float64{"a": 2000, "b": 550, "c": 40, "d": 0, "e": 18, "f": 900}
	var groups [][]string
	for _, f := range facets(resultsOf(values, "a", "b", "c", "d", "e", "f"), apart) {
		groups = append(groups, f.groups)
	}
	if want := [][]string{{"a", "b"}, {"c", "d", "e"}, {"f"}}; !reflect.DeepEqual(groups, want) {
		t.Error(groups)
	}
}

func TestSwap(t *testing.T) {
	metric := func(name, unit string, parameters ...string) (rs []Result) {
		for _, p := range parameters {
			k := key(Host, p)
			k.Metric, k.Unit = name, unit
			rs = append(rs, Result{Key: k})
		}
		return rs
	}
	all := swap([][]Result{metric("one core", "ns", "x"), metric("rate", "kpps", "x"), metric("other core", "ns", "x"), metric("cost", "ns", "x", "y")})
	if len(all) != 3 || !all[0].swapped || len(all[0].results) != 2 || all[0].results[1].Parameter != "other core" || all[1].swapped || all[2].swapped {
		t.Errorf("%+v", all)
	}
}

func TestScales(t *testing.T) {
	for _, s := range []scale{linear(0, 473, 0, 100), linear(-3, 0.2, 0, 100), linear(0, 0, 0, 100), logarithmic(38, 720, 0, 100), logarithmic(5, 5, 0, 100), logarithmic(1, 1e6, 0, 100)} {
		ticks := s.ticks()
		if len(ticks) < 2 || len(ticks) > 10 {
			t.Errorf("%+v has the ticks %v", s, ticks)
		}
		for _, k := range ticks {
			if at := s.at(k.at); !(at >= -0.01 && at <= 100.01) {
				t.Errorf("%+v has the tick %v at %v", s, k, at)
			}
		}
	}
}

func TestBands(t *testing.T) {
	slow := Distribution{Points: []Quantile{{10, 0.5}, {20, 0.9}, {50, 0.99}, {90, 1}}}
	fast := Distribution{Points: []Quantile{{5, 0.5}, {10, 0.9}, {25, 0.99}, {45, 1}}}
	if slow.quantile(0) != 10 || slow.quantile(0.5) != 10 || slow.quantile(0.51) != 20 || slow.quantile(1) != 90 {
		t.Error("quantiles are wrong")
	}
	points := byFraction([]Distribution{slow, fast}, slow.nines())
	if last := points[len(points)-1]; math.Abs(last.at-2) > 1e-9 || last.Low != 25 || last.High != 50 || last.Median != 37.5 {
		t.Errorf("%+v", last)
	}
	series := byTime([]Series{{Points: []Point{{0, 1}, {0.1, 3}, {1, 4}}}, {Points: []Point{{0.05, 4}}}}, 0.5)
	if len(series) != 2 || series[0].Low != 2 || series[0].High != 4 || series[1].N != 1 || series[1].at != 1.25 {
		t.Errorf("%+v", series)
	}
}

func TestColoursStay(t *testing.T) {
	few, many := newPalette([]string{Host, "falcon"}), newPalette([]string{Host, Overlay, "another", "falcon", "falcon-all"})
	if few.tints[1] != many.tints[3] || few.tints[1] != tints["falcon"] {
		t.Error("falcon changes its colour with the company")
	}
	if many.tints[2] != spare[0] {
		t.Error("an unknown subject has no colour of its own")
	}
}
