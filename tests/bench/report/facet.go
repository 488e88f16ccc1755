package report

import "slices"

// From which ratio of their highest values on groups of bars get scales of their own: under a common one the lower would be
// too short to compare. Parts of a whole are to look like parts.
const (
	apart      = 6
	partsApart = 50
)

// facet is a part of a bar chart with a scale of its own. Bars start at zero always.
type facet struct {
	groups    []string // parameters
	low, high float64
	least     float64 // of the groups' highest values, but for zeros
}

// takes tells whether a group with that highest value can join. Nothing looks like nothing on any scale.
func (f *facet) takes(high, apart float64) bool {
	return high == 0 || f.high == 0 || max(high, f.high) <= apart*min(high, f.least)
}

func (f *facet) add(group string, v valueRange) {
	if f.high == 0 || v.high > 0 && v.high < f.least {
		f.least = v.high
	}
	f.groups, f.low, f.high = append(f.groups, group), min(f.low, v.low), max(f.high, v.high)
}

// facets puts neighbouring parameters together while their values are comparable.
func facets(rs []Result, apart float64) []facet {
	var all []facet
	for _, group := range parametersOf(rs) {
		var v valueRange
		for i := range rs {
			if rs[i].Parameter == group {
				s := rs[i].spread()
				v.see(0, s.Low, s.High)
			}
		}
		if n := len(all); n == 0 || !all[n-1].takes(v.high, apart) {
			all = append(all, facet{})
		}
		all[len(all)-1].add(group, v)
	}
	return all
}

func parametersOf(rs []Result) []string {
	var all []string
	for i := range rs {
		if !slices.Contains(all, rs[i].Parameter) {
			all = append(all, rs[i].Parameter)
		}
	}
	return all
}

// crowd is how many bars the fullest group has.
func crowd(rs []Result, groups []string) int {
	most := 1
	for _, g := range groups {
		n := 0
		for i := range rs {
			if rs[i].Parameter == g {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
