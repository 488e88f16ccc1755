package report

import (
	"maps"
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
	if ours == nil {
		return Spread{}, false
	}
	rounds, common := ours.against(theirs)
	s := spreadOf(slices.Collect(maps.Values(rounds)))
	s.common = common
	return s, s.N > 0
}

// against is each round's ratio to another result, nil or of the same unit, and how many rounds they have in common. Two
// zeros are the same; what is not zero has no ratio to zero.
func (r *Result) against(base *Result) (ratios map[int]float64, common int) {
	if base == nil || base.Unit != r.Unit {
		return nil, 0
	}
	theirs, ratios := base.byRound(), map[int]float64{}
	for round, value := range r.byRound() {
		reference, both := theirs[round]
		if !both {
			continue
		}
		common++
		if value == reference {
			ratios[round] = 1
		} else if q := value / reference; finite(q) {
			ratios[round] = q
		}
	}
	return ratios, common
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

// overall is a ratio over all parameters of a metric: in each round the geometric mean of their ratios, which one that is
// zero makes zero. Parameters without any ratio are left out, and so are rounds that lack one that others have.
func (all resultMap) overall(rs []Result, subject, reference string) (Spread, []string) {
	ratios, parameters, common := map[int][]float64{}, []string{}, 0
	for i := range rs {
		r := &rs[i]
		if r.Subject != subject {
			continue
		}
		of, both := r.against(all[id{r.Experiment, reference, r.Parameter, r.Metric}])
		common = max(common, both)
		for round, q := range of {
			ratios[round] = append(ratios[round], q)
		}
		if len(of) > 0 {
			parameters = append(parameters, r.Parameter)
		}
	}
	var means []float64
	for _, of := range ratios {
		if len(of) == len(parameters) {
			means = append(means, geometricMean(of))
		}
	}
	s := spreadOf(means)
	s.common = common
	return s, parameters
}

// geometricMean of values that are not negative, which it sorts: a sum of floating point numbers depends on their order.
func geometricMean(values []float64) float64 {
	slices.Sort(values)
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}
