// Package screen is a terminal for tests: a pseudo-terminal, and what a person sees on it as lines of text. It knows the control
// sequences that falcon uses (ECMA-48 and xterm's), as a terminal treats them, and reports any other.
package screen

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// grid is the characters of a screen.
type grid struct {
	width, height int
	cells         [][]rune
	row, column   int // the cursor; column width: behind the last character, which the next one wraps from
	alternate     bool
	hidden        bool // the cursor
	bold          bool
	strong        map[int]bool // rows with a bold character
	problems      []string     // what no program of ours should do
	rest          []byte       // of a sequence that is not complete
}

func newGrid(width, height int) *grid {
	g := &grid{width: width, height: height}
	g.wipe()
	return g
}

func (g *grid) wipe() {
	g.cells, g.strong = make([][]rune, g.height), map[int]bool{}
	for i := range g.cells {
		g.cells[i] = blank(g.width)
	}
	g.row, g.column = 0, 0
}

func blank(n int) []rune { return []rune(strings.Repeat(" ", n)) }

// resize keeps what fits, as terminals do with the alternate screen.
func (g *grid) resize(width, height int) {
	old := g.cells
	row, column := g.row, g.column
	g.width, g.height = width, height
	g.wipe()
	for i := range min(len(old), height) {
		copy(g.cells[i], old[i])
	}
	g.row, g.column = min(row, height-1), min(column, width)
}

// write takes what a program writes.
func (g *grid) write(b []byte) {
	text := string(append(g.rest, b...))
	g.rest = nil
	for len(text) > 0 {
		if text[0] != '\x1b' {
			if !utf8.FullRuneInString(text) {
				g.rest = []byte(text)
				return
			}
			r, size := utf8.DecodeRuneInString(text)
			g.put(r)
			text = text[size:]
			continue
		}
		n := sequence(text)
		if n == 0 {
			g.rest = []byte(text)
			return
		}
		g.control(text[1:n])
		text = text[n:]
	}
}

// sequence is the length of the control sequence that text begins with; 0: it is not complete.
func sequence(text string) int {
	if len(text) < 2 {
		return 0
	}
	if text[1] != '[' {
		return 2
	}
	for i := 2; i < len(text); i++ {
		if text[i] >= '@' && text[i] <= '~' {
			return i + 1
		}
	}
	return 0
}

func (g *grid) put(r rune) {
	switch {
	case r == '\r':
		g.column = 0
	case r == '\n' && g.row == g.height-1:
		g.cells, g.row = append(g.cells[1:], blank(g.width)), g.height-1
		if g.alternate {
			g.problem("the screen has scrolled")
		}
	case r == '\n':
		g.row++
	case r < ' ':
		g.problem(fmt.Sprintf("control character %q", r))
	default:
		if g.column == g.width {
			g.problem(fmt.Sprintf("row %d is too long", g.row))
			g.put('\r')
			g.put('\n')
		}
		g.cells[g.row][g.column] = r
		g.strong[g.row] = g.bold || g.column > 0 && g.strong[g.row]
		g.column++
	}
}

// control obeys a sequence, less its escape.
func (g *grid) control(s string) {
	switch {
	case s == "[?1049h" || s == "[?1049l":
		g.alternate = s == "[?1049h"
		g.wipe()
	case s == "[?25l" || s == "[?25h":
		g.hidden = s == "[?25l"
	case s == "[1m" || s == "[m":
		g.bold = s == "[1m"
	case s == "[K":
		g.clearLine()
	case s == "[J":
		g.clearLine()
		for row := g.row + 1; row < g.height; row++ {
			g.cells[row], g.strong[row] = blank(g.width), false
		}
	case s[0] == '[' && strings.HasSuffix(s, "H"):
		g.move(s[1 : len(s)-1])
	default:
		g.problem(fmt.Sprintf("unknown sequence %q", s))
	}
}

// clearLine clears from the cursor on. With the cursor behind the last character it takes that one too, as xterm does.
func (g *grid) clearLine() {
	from := min(g.column, g.width-1)
	copy(g.cells[g.row][from:], blank(g.width-from))
	if from == 0 {
		g.strong[g.row] = false
	}
}

func (g *grid) move(to string) {
	row, column := 1, 1
	if a, b, ok := strings.Cut(to, ";"); ok {
		row, _ = strconv.Atoi(a)
		column, _ = strconv.Atoi(b)
	}
	g.row, g.column = min(row, g.height)-1, min(column, g.width)-1
}

func (g *grid) problem(text string) { g.problems = append(g.problems, text) }

// lines are the rows without blanks at their ends.
func (g *grid) lines() []string {
	lines := make([]string, g.height)
	for i, cells := range g.cells {
		lines[i] = strings.TrimRight(string(cells), " ")
	}
	return lines
}
