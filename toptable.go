package main

import (
	"strings"
	"unicode/utf8"
)

// topTable is a table that leaves out columns where the window is narrow.
type topTable struct {
	columns []topColumn
	rows    [][]string
}

type topColumn struct {
	title string
	least int  // width of values to come, so that the columns stay where they are
	rank  int  // the highest is left out first; 0: never
	left  bool // aligned
}

// lines writes the titles and the rows; width 0 is no limit.
func (t topTable) lines(width int) []string {
	widths, shown := t.widths(), make([]bool, len(t.columns))
	for i := range shown {
		shown[i] = true
	}
	for width > 0 && t.total(widths, shown) > width {
		last := 0
		for i, c := range t.columns {
			if shown[i] && c.rank >= t.columns[last].rank {
				last = i
			}
		}
		if t.columns[last].rank == 0 || !shown[last] {
			break
		}
		shown[last] = false
	}
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	lines := []string{t.line(titles, widths, shown)}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths, shown))
	}
	return lines
}

func (t topTable) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = max(c.least, utf8.RuneCountInString(c.title))
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	return widths
}

func (t topTable) total(widths []int, shown []bool) int {
	total := -1
	for i := range widths {
		if shown[i] {
			total += widths[i] + 1
		}
	}
	return total
}

func (t topTable) line(cells []string, widths []int, shown []bool) string {
	var parts []string
	for i, cell := range cells {
		if !shown[i] {
			continue
		}
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.columns[i].left {
			parts = append(parts, cell+pad)
		} else {
			parts = append(parts, pad+cell)
		}
	}
	return strings.TrimRight(strings.Join(parts, " "), " ")
}

// wrap fills lines with words or phrases.
func wrap(parts []string, between string, width int) []string {
	var lines []string
	for _, part := range parts {
		last := len(lines) - 1
		if last >= 0 && (width == 0 || utf8.RuneCountInString(lines[last]+between+part) <= width) {
			lines[last] += between + part
		} else {
			lines = append(lines, part)
		}
	}
	return lines
}

// cut ends a line at the window's edge.
func cut(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width])
	}
	return line
}
