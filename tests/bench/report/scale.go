package report

import (
	"fmt"
	"math"
	"strconv"
)

// scale maps values to pixels, linearly or by logarithm.
type scale struct {
	low, high, from, to float64
	log                 bool
}

// tick is a marked place on an axis.
type tick struct {
	at    float64
	label string
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
	return scale{math.Floor(low/step) * step, math.Ceil(high/step-1e-9) * step, from, to, false}
}

// logarithmic is a scale just around positive values.
func logarithmic(low, high, from, to float64) scale {
	if high < 2*low {
		low, high = low/1.5, high*1.5
	}
	return scale{low / 1.05, high * 1.05, from, to, true}
}

// niceStep is the next of 1, 2 and 5 times a power of ten.
func niceStep(rough float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough*0.999 {
			return m * power
		}
	}
	return 10 * power
}

func (s scale) ticks() []tick {
	if s.log {
		return s.logTicks()
	}
	var ticks []tick
	step := niceStep((s.high - s.low) / 5)
	for i := range 12 {
		if v := s.low + float64(i)*step; v <= s.high+step/100 {
			if math.Abs(v) < step/100 {
				v = 0
			}
			ticks = append(ticks, tick{v, number(v)})
		}
	}
	return ticks
}

// logTicks are the powers of ten, with multiples of them where there are few.
func (s scale) logTicks() []tick {
	factors := []float64{1, 2, 5}
	switch {
	case s.high > 1000*s.low:
		factors = []float64{1}
	case s.high < 8*s.low:
		factors = []float64{1, 1.5, 2, 3, 4, 5, 6, 8}
	}
	var ticks []tick
	for power := math.Pow(10, math.Floor(math.Log10(s.low))); power <= s.high; power *= 10 {
		for _, f := range factors {
			if v := f * power; v >= s.low*0.999 && v <= s.high*1.001 {
				ticks = append(ticks, tick{v, number(v)})
			}
		}
	}
	return ticks
}

// nines maps a fraction of all to the number of nines in it, so that the tail has as much room as the body: 0.9 to 1,
// 0.99 to 2.
func nines(fraction float64) float64 { return -math.Log10(1 - fraction) }

func ninesTicks(most float64) []tick {
	var ticks []tick
	for _, percent := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
		if n := nines(percent / 100); n <= most+0.01 {
			ticks = append(ticks, tick{n, "p" + strconv.FormatFloat(percent, 'g', -1, 64)})
		}
	}
	return ticks
}

// valueRange notes the lowest and the highest of what it has seen, and the lowest positive one.
type valueRange struct {
	low, high, positive float64
	some                bool
}

func (r *valueRange) see(values ...float64) {
	for _, v := range values {
		if !r.some {
			*r = valueRange{v, v, math.Inf(1), true}
		}
		r.low, r.high = min(r.low, v), max(r.high, v)
		if v > 0 {
			r.positive = min(r.positive, v)
		}
	}
}

// spans tells whether all values are positive and so far apart that only a logarithm shows the lower ones.
func (r *valueRange) spans(factor float64) bool { return r.low > 0 && r.high > factor*r.low }

func pixel(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func pixels(format string, v ...float64) string {
	text := make([]any, len(v))
	for i := range v {
		text[i] = pixel(v[i])
	}
	return fmt.Sprintf(format, text...)
}
