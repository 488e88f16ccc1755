package report

import "slices"

// drawn is what comes into charts together.
type drawn struct {
	results []Result
	swapped bool // metrics are parameters and the other way round
}

// swap turns metrics that have one parameter, the same one, and one unit into one metric with many parameters: CPU time
// of this and of that core in one chart compare better than in one chart each. Metrics that stay as they are keep their
// places, the others come at that of their first.
func swap(metrics [][]Result) []drawn {
	type kind struct {
		parameter, unit string
		higherIsBetter  bool
	}
	of := func(rs []Result) (kind, bool) {
		k := kind{rs[0].Parameter, rs[0].Unit, rs[0].HigherIsBetter}
		return k, len(parametersOf(rs)) == 1
	}
	count := map[kind]int{}
	for _, rs := range metrics {
		if k, single := of(rs); single {
			count[k]++
		}
	}
	var all []drawn
	at := map[kind]int{}
	for _, rs := range metrics {
		k, single := of(rs)
		if !single || count[k] == 1 {
			all = append(all, drawn{rs, false})
			continue
		}
		i, begun := at[k]
		if !begun {
			i = len(all)
			at[k], all = i, append(all, drawn{swapped: true})
		}
		for _, r := range rs {
			r.Metric, r.Parameter = r.Parameter, r.Metric
			all[i].results = append(all[i].results, r)
		}
	}
	return all
}

// has tells whether one of some metrics is among them.
func (d drawn) has(metrics []string) bool {
	return slices.ContainsFunc(d.results, func(r Result) bool {
		return slices.Contains(metrics, r.Metric) || slices.Contains(metrics, r.Parameter)
	})
}

// charts are families of parameters as lines, the others as bars.
func (d drawn) charts(colours palette) []chart {
	var all []chart
	heading := d.results[0].heading()
	families, rest := trends(d.results)
	for _, family := range families {
		all = append(all, trend(heading, family, colours))
	}
	if len(rest) == 0 {
		return all
	}
	if d.swapped {
		return append(all, bars(heading, rest, colours, partsApart))
	}
	return append(all, bars(heading, rest, colours, apart))
}
