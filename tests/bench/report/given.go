package report

import "fmt"

// given takes parameters with a single value off a metric's results, and adds them in words to a list.
func given(rs []Result, list []string) ([]Result, []string) {
	var rest []Result
	for _, of := range runs(rs, func(r Result) string { return r.Parameter }) {
		if len(of) > 1 || len(of[0].Samples) > 1 {
			rest = append(rest, of...)
			continue
		}
		r := of[0]
		list = append(list, fmt.Sprintf("%s, %s (%s): %s %s", r.Metric, r.Parameter, r.Subject, number(r.Samples[0].Value), r.Unit))
	}
	return rest, list
}

func zero(rs []Result) bool {
	for _, r := range rs {
		for _, s := range r.Samples {
			if s.Value != 0 {
				return false
			}
		}
	}
	return true
}
