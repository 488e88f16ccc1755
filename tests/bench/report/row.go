package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// row is a line of a table of numbers, as text.
type row struct {
	Parameter, Subject, Median, Spread, N, ToHost, ToOverlay, Paper string
	Colour                                                          string // class of the subject's colour
}

const none = "–"

func (d *document) row(r *Result) row {
	s := r.spread()
	return row{
		Parameter: r.Parameter, Subject: r.Subject, Median: number(s.Median), Spread: number(s.Low) + " … " + number(s.High), N: strconv.Itoa(s.N),
		ToHost: d.ratioText(r, Host), ToOverlay: d.ratioText(r, Overlay), Paper: paperText(r),
	}
}

func (d *document) ratioText(r *Result, reference string) string {
	s, ok := d.index.ratio(r.Experiment, r.Subject, reference, r.Parameter, r.Metric)
	switch {
	case !ok:
		return none
	case r.Subject == reference:
		return "1"
	}
	return fmt.Sprintf("%s (%s … %s)", factor(s.Median), factor(s.Low), factor(s.High))
}

// paperText is the paper's ratios to the host and to the overlay for the subject.
func paperText(r *Result) string {
	f, ok := Paper(r.Experiment, r.Parameter, r.Metric)
	v, has := f.of(r.Subject)
	if !ok || !has {
		return none
	}
	return over(v, f.Host) + ", " + over(v, f.Overlay)
}

func over(v, base float64) string {
	if v == 0 || base == 0 {
		return none
	}
	return factor(v / base)
}

// factor writes a ratio.
func factor(v float64) string {
	if math.Abs(v) >= 100 {
		return number(v)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// number writes a value with four digits, or all before the point, in groups of three.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a < 1000 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	} else if a >= 1e12 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	text := strings.Join(append([]string{digits}, groups...), "\u202f")
	if v < 0 {
		text = "-" + text
	}
	return text
}
