package report

import (
	"math"
	"slices"
)

// Ratio compares a subject with a reference. The ratio is formed in each round that has both (of the round's median, if
// it has several samples); the result is the median of these ratios and their spread, as Spread defines it. It is not ok
// if there is no common round in which the reference is not zero.
func (r *Report) Ratio(experiment, subject, reference, parameter, metric string) (median, low, high float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.results.ratio(experiment, subject, reference, parameter, metric)
	return s.Median, s.Low, s.High, ok
}

func (all resultMap) ratio(experiment, subject, reference, parameter, metric string) (Spread, bool) {
	ours, theirs := all[id{experiment, subject, parameter, metric}], all[id{experiment, reference, parameter, metric}]
	if ours == nil || theirs == nil || ours.Unit != theirs.Unit {
		return Spread{}, false
	}
	base := theirs.byRound()
	var ratios []float64
	for round, value := range ours.byRound() {
		if q := value / base[round]; finite(q) {
			ratios = append(ratios, q)
		}
	}
	s := spreadOf(ratios)
	return s, s.N > 0
}

// byRound is each round's median.
func (r *Result) byRound() map[int]float64 {
	rounds := map[int][]float64{}
	for _, s := range r.Samples {
		rounds[s.Round] = append(rounds[s.Round], s.Value)
	}
	medians := map[int]float64{}
	for round, values := range rounds {
		slices.Sort(values)
		medians[round] = median(values)
	}
	return medians
}

// overall is a ratio over all parameters of a metric: in each round the geometric mean of their ratios. Parameters without
// a positive ratio are left out, and so are rounds that lack one that others have.
func (all resultMap) overall(rs []Result, subject, reference string) (Spread, []string) {
	ratios, parameters := map[int][]float64{}, []string{}
	for i := range rs {
		r := &rs[i]
		base := all[id{r.Experiment, reference, r.Parameter, r.Metric}]
		if r.Subject != subject || base == nil {
			continue
		}
		theirs, some := base.byRound(), false
		for round, value := range r.byRound() {
			if q := value / theirs[round]; finite(q) && q > 0 {
				ratios[round], some = append(ratios[round], q), true
			}
		}
		if some {
			parameters = append(parameters, r.Parameter)
		}
	}
	var means []float64
	for _, of := range ratios {
		if len(of) == len(parameters) {
			means = append(means, geometricMean(of))
		}
	}
	return spreadOf(means), parameters
}

// geometricMean of positive values, which it sorts: a sum of floating point numbers depends on their order.
func geometricMean(values []float64) float64 {
	slices.Sort(values)
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}
