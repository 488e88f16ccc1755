package report

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fewest is how many numbers make a trend; fewer are bars.
const fewest = 3

// count is a number that is no size in bytes, with the letter before it, if any, and a plural after it.
var count = regexp.MustCompile(`(^|[^0-9.A-Za-z])([0-9]+(?:\.[0-9]+)?)( [a-z]+?s?\b|%| ?[kKMG]i?B\b| ?B\b)?`)

// step is a parameter as one of a family: "UDP, 8 flows" is 8 of "UDP, n flows".
type step struct {
	family string
	n      float64
}

func stepOf(parameter string) (step, bool) {
	first, some := 0.0, false
	family := count.ReplaceAllStringFunc(parameter, func(s string) string {
		m := count.FindStringSubmatch(s)
		if strings.HasSuffix(m[3], "B") {
			return s
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return s
		}
		if !some {
			first, some = v, true
		}
		unit := m[3]
		if strings.HasPrefix(unit, " ") && !strings.HasSuffix(unit, "s") {
			unit += "s"
		}
		return m[1] + "n" + unit
	})
	return step{family, first}, some
}

// trends takes the families of at least three steps out of results of one metric; the rest is for bars. It is no family if
// steps differ in another number than their first.
func trends(rs []Result) (families [][]Result, rest []Result) {
	of, names := map[string][]Result{}, []string{}
	for _, r := range rs {
		s, ok := stepOf(r.Parameter)
		if !ok {
			rest = append(rest, r)
			continue
		}
		if of[s.family] == nil {
			names = append(names, s.family)
		}
		of[s.family] = append(of[s.family], r)
	}
	for _, name := range names {
		if isTrend(of[name]) {
			families = append(families, of[name])
		} else {
			rest = append(rest, of[name]...)
		}
	}
	if len(families) == 0 {
		return nil, rs
	}
	slices.SortStableFunc(rest, func(a, b Result) int { return compareKeys(a.Key, b.Key) })
	return families, rest
}

func isTrend(rs []Result) bool {
	named := map[float64]string{}
	for i := range rs {
		n := rs[i].step()
		if have, ok := named[n]; ok && have != rs[i].Parameter {
			return false
		}
		named[n] = rs[i].Parameter
	}
	return len(named) >= fewest
}

func (r *Result) step() float64 {
	s, _ := stepOf(r.Parameter)
	return s.n
}
