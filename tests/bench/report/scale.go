package report

import "math"

// scale maps values to pixels, linearly or by logarithm.
type scale struct {
	low, high, from, to float64
	log                 bool
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(max(v, s.low))
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// linear is a scale from zero, or from the lowest value below it.
func linear(low, high, from, to float64) scale {
	low = min(low, 0)
	if high <= low {
		high = low + 1
	}
	step := niceStep((high - low) / 5)
	return scale{math.Floor(low/step) * step, math.Ceil(high/step) * step, from, to, false}
}

// logarithmic is a scale of whole powers of ten around positive values.
func logarithmic(low, high, from, to float64) scale {
	s := scale{math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high))), from, to, true}
	if s.high <= s.low {
		s.high = s.low * 10
	}
	return s
}

func niceStep(rough float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough*0.999 {
			return m * power
		}
	}
	return 10 * power
}

func (s scale) ticks() []float64 {
	var ticks []float64
	if s.log {
		for v := s.low; v <= s.high*1.001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := niceStep((s.high - s.low) / 5)
	for i := range 12 {
		if v := s.low + float64(i)*step; v <= s.high+step/100 {
			ticks = append(ticks, v)
		}
	}
	return ticks
}
