package report

import "fmt"

// Verdicts on a ratio. It is the same as the reference if the spread of its rounds contains 1.
const (
	better = "better"
	worse  = "worse"
	same   = "same"
)

// verdict tells what a ratio means; nothing if there was one round only, which has no spread, or if rounds are missing from
// it: those in which the reference was zero, against which whatever is not zero is beyond all ratio.
func (s Spread) verdict(higherIsBetter bool) string {
	switch {
	case s.N < 2 || s.N < s.common:
		return ""
	case s.Low <= 1 && s.High >= 1:
		return same
	case s.Median > 1 == higherIsBetter:
		return better
	}
	return worse
}

// direction says which way a metric is better.
func direction(higherIsBetter bool) string {
	if higherIsBetter {
		return "↑"
	}
	return "↓"
}

// label names a metric with its unit and direction.
func (k Key) label() string { return k.named() + " " + direction(k.HigherIsBetter) }

// named is a metric with its unit; 1 is that of plain numbers.
func (k Key) named() string {
	if k.Unit == "1" {
		return k.Metric
	}
	return k.Metric + ", " + k.Unit
}

// heading is label with the direction in words.
func (k Key) heading() string { return k.named() + " " + meaning(k.HigherIsBetter) }

func meaning(higherIsBetter bool) string {
	if higherIsBetter {
		return "↑ more is better"
	}
	return "↓ less is better"
}

// comparison is a ratio as text. It is empty where there is none.
type comparison struct {
	Text    string // all of it
	Number  string
	Range   string // its spread, or why it has none
	Verdict string
	To      string // the reference
}

func compared(s Spread, higherIsBetter bool) comparison {
	c := comparison{Text: factor(s.Median), Number: factor(s.Median), Verdict: s.verdict(higherIsBetter)}
	switch {
	case s.N < s.common:
		c.Range = fmt.Sprintf("%d of %d rounds", s.N, s.common)
	case s.N == 1:
		c.Range = "one round"
	default:
		c.Range = factor(s.Low) + " … " + factor(s.High)
	}
	c.Text += " (" + c.Range + ")"
	return c
}
