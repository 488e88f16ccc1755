package main

import (
	"fmt"
	"strings"
)

// barWidth is the length of the bar of a core that has no time left.
const barWidth = 8

func bar(share float64) string {
	n := min(max(int(share*barWidth+0.5), 0), barWidth)
	return strings.Repeat("|", n)
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
func kilo(n float64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f", n/1e3)
}

// megabit writes bytes as megabits.
func megabit(bytes float64) string {
	if bytes == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f", bytes*8/1e6)
}
