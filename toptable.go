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
	group string // what adjacent columns have in common, written above them
	least int    // width of values to come, so that the columns stay where they are
	rank  int    // the highest is left out first; 0: never
	left  bool   // aligned
}

// lines writes the titles and the rows; width 0 is no limit.
func (t topTable) lines(width int) []topLine {
	widths := t.widths()
	shown := t.fitting(widths, width)
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	var lines []topLine
	if groups := t.groups(widths, shown); groups != "" {
		lines = append(lines, topLine{groups, true})
	}
	lines = append(lines, topLine{t.line(titles, widths, shown), true})
	for _, row := range t.rows {
		lines = append(lines, topLine{t.line(row, widths, shown), false})
	}
	return lines
}

// fitting tells which columns are shown.
func (t topTable) fitting(widths []int, width int) []bool {
	shown := make([]bool, len(t.columns))
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
	return shown
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

// groups is the line above the titles; empty if no column that is shown is in a group.
func (t topTable) groups(widths []int, shown []bool) string {
	var b strings.Builder
	for i := 0; i < len(t.columns); {
		group, span := t.columns[i].group, -1
		for ; i < len(t.columns) && t.columns[i].group == group; i++ {
			if shown[i] {
				span += widths[i] + 1
			}
		}
		if span > 0 {
			b.WriteString(rule(group, span) + " ")
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// rule is a name in the middle of a line of some length; no name is no line.
func rule(name string, length int) string {
	if name == "" {
		return strings.Repeat(" ", length)
	}
	free := max(length-len(name)-2, 0)
	return strings.Repeat("-", free/2) + " " + name + " " + strings.Repeat("-", free-free/2)
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
