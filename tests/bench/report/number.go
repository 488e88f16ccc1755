package report

import (
	"math"
	"strconv"
	"strings"
)

// none stands where there is no number.
const none = "–"

// factor writes a ratio.
func factor(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return number(v)
	case a != 0 && a < 0.1:
		return plain(v, 2)
	}
	// What is not 1 must not look like it, next to a verdict that says so.
	text := strconv.FormatFloat(v, 'f', 2, 64)
	for digits := 3; v != 1 && text == strconv.FormatFloat(1, 'f', digits-1, 64) && digits < 6; digits++ {
		text = strconv.FormatFloat(v, 'f', digits, 64)
	}
	return text
}

// number writes a value with four digits, or all before the point, in groups of three.
func number(v float64) string {
	if a := math.Abs(v); a < 1000 || a >= 1e12 {
		return plain(v, 4)
	}
	return grouped(v)
}

// short writes a value with three digits, or all before the point.
func short(v float64) string {
	if a := math.Abs(v); a < 1000 || a >= 1e12 {
		return plain(v, 3)
	}
	return grouped(v)
}

// plain writes a value with so many digits, none of them a zero at the end of a fraction, and the exponent only where it
// saves much.
func plain(v float64, digits int) string {
	if v == 0 {
		return "0"
	}
	text := strconv.FormatFloat(v, 'g', digits, 64)
	if a := math.Abs(v); a >= 1e-4 && a < 1e12 {
		rounded, err := strconv.ParseFloat(text, 64)
		if err == nil {
			return strconv.FormatFloat(rounded, 'f', -1, 64)
		}
	}
	return text
}

func grouped(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	text := strings.Join(append([]string{digits}, groups...), "\u202f")
	if v < 0 {
		return "-" + text
	}
	return text
}
