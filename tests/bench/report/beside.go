package report

// paperSuffix marks the paper's parameters, whose bars are paler.
const paperSuffix = " paper"

// beside draws the paper's figures next to ours, a chart for each metric that it has: as ratios to the overlay, since its
// machines are not ours.
func (d *document) beside(metrics [][]Result, colours palette) []chart {
	var all []chart
	for _, rs := range metrics {
		if pairs := d.pairedWithPaper(rs, colours); len(pairs) > 0 {
			title := rs[0].Metric + ", × docker-overlay " + meaning(rs[0].HigherIsBetter) + ": paper (pale), here"
			all = append(all, bars(title, pairs, colours, apart))
		}
	}
	return all
}

func (d *document) pairedWithPaper(rs []Result, colours palette) []Result {
	var pairs []Result
	for _, of := range runs(rs, func(r Result) string { return r.Parameter }) {
		f, ok := Paper(of[0].Experiment, of[0].Parameter, of[0].Metric)
		ours := d.againstOverlay(of)
		if !ok || f.Overlay == 0 || len(ours) == 0 {
			continue
		}
		for _, s := range []string{Host, Overlay, "falcon"} {
			if v, reported := f.of(s); reported && colours.classes[s] != "" {
				pairs = append(pairs, single(of[0].Key, f.Parameter+paperSuffix, s, v/f.Overlay))
			}
		}
		for _, r := range ours {
			r.Parameter, r.Unit = of[0].Parameter+" here", "× docker-overlay"
			pairs = append(pairs, r)
		}
	}
	return pairs
}

func single(k Key, parameter, subject string, value float64) Result {
	k.Parameter, k.Subject, k.Unit = parameter, subject, "× docker-overlay"
	return Result{k, []Sample{{0, value}}}
}

// againstOverlay turns one parameter's results into each round's ratio to the overlay.
func (d *document) againstOverlay(rs []Result) []Result {
	var all []Result
	for i := range rs {
		base := d.index[id{rs[i].Experiment, Overlay, rs[i].Parameter, rs[i].Metric}]
		if base == nil {
			return nil
		}
		r := Result{Key: rs[i].Key}
		ratios, _ := rs[i].against(base)
		for round, q := range ratios {
			r.Samples = append(r.Samples, Sample{round, q})
		}
		if len(r.Samples) > 0 {
			all = append(all, r)
		}
	}
	return all
}
