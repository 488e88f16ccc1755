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
	if math.Abs(v) >= 100 {
		return number(v)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
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
