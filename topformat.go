package main

import (
	"fmt"
	"strings"
)

// barWidth is the length of the bar of a core that has no time left.
const barWidth = 8

// bar draws a core's load, and with another sign the part of it that is softirqs.
func bar(busy, softirq float64) string {
	length := func(share float64) int { return min(max(int(share*barWidth+0.5), 0), barWidth) }
	part := min(length(softirq), length(busy))
	return strings.Repeat("#", part) + strings.Repeat("|", length(busy)-part)
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", share*100) }

// count writes a rate in up to six characters.
func count(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return fmt.Sprintf("%.1f", n)
	case n < 10e3:
		return fmt.Sprintf("%.0f", n)
	case n < 1e6:
		return fmt.Sprintf("%.0fk", n/1e3)
	}
	return fmt.Sprintf("%.2fM", n/1e6)
}

// kilo writes thousands.
func kilo(n float64) string { return tenths(n / 1e3) }

// megabit writes bytes as megabits.
func megabit(bytes float64) string { return tenths(bytes * 8 / 1e6) }

// tenths tells little from nothing.
func tenths(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 0.05:
		return "<0.1"
	}
	return fmt.Sprintf("%.1f", n)
}
