package report

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// token is text, or a number together with the size unit that follows it, so that 256 B comes before 1 KB.
var token = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?(?: ?(?:[kKMG]i?)?B\b)?|[^0-9]+`)

// mtu is where a parameter of that name sorts among sizes in bytes.
const mtu = 1450

// natural compares text with numbers and sizes in it by their value.
func natural(a, b string) int {
	x, y := token.FindAllString(a, -1), token.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		if c := compareTokens(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

func compareTokens(a, b string) int {
	x, numeric := magnitude(a)
	y, too := magnitude(b)
	switch {
	case numeric && too:
		return cmp.Compare(x, y)
	case numeric != too:
		if numeric {
			return -1
		}
		return 1
	}
	return cmp.Compare(a, b)
}

// magnitude is the value of a number with an optional size unit.
func magnitude(s string) (float64, bool) {
	if s == "MTU" {
		return mtu, true
	}
	end := strings.IndexFunc(s, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
	if end < 0 {
		end = len(s)
	}
	v, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return 0, false
	}
	switch unit := strings.TrimSpace(s[end:]); {
	case strings.HasPrefix(unit, "k"), strings.HasPrefix(unit, "K"):
		v *= 1 << 10
	case strings.HasPrefix(unit, "M"):
		v *= 1 << 20
	case strings.HasPrefix(unit, "G"):
		v *= 1 << 30
	}
	return v, true
}
