package screen

import (
	"strings"
	"testing"
)

func TestGrid(t *testing.T) {
	for name, c := range map[string]struct{ in, want, problem string }{
		"lines":             {"ab\r\ncd", "ab/cd/", ""},
		"cursor home":       {"abc\x1b[Hx", "xbc//", ""},
		"cursor position":   {"\x1b[2;3Hx", "/  x/", ""},
		"clear to end":      {"abcd\x1b[Hx\x1b[K", "x//", ""},
		"clear below":       {"ab\r\ncd\r\nef\x1b[Hx\x1b[J", "x//", ""},
		"full line, clear":  {"abcde\x1b[K", "abcd//", ""},
		"line too long":     {"abcdef", "abcde/f/", "too long"},
		"scrolls":           {"\x1b[?1049ha\r\nb\r\nc\r\nd", "b/c/d", "scrolled"},
		"sequence in parts": {"a\x1b|[Kb", "ab//", ""},
		"umlaut":            {"ä\xc3|\xa4", "ää//", ""},
		"bold":              {"\x1b[1ma\x1b[mb", "ab//", ""},
		"alternate":         {"old\x1b[?1049hnew\x1b[?1049l", "//", ""},
		"unknown":           {"a\x1b[2Jb", "ab//", `unknown sequence "[2J"`},
		"bell":              {"\x07", "//", "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGrid(5, 3)
			for part := range strings.SplitSeq(c.in, "|") {
				g.write([]byte(part))
			}
			if got := strings.Join(g.lines(), "/"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if got := strings.Join(g.problems, ", "); (got == "") != (c.problem == "") || !strings.Contains(got, c.problem) {
				t.Errorf("problems: %q, want %q", got, c.problem)
			}
		})
	}
}

func TestResizeKeepsWhatFits(t *testing.T) {
	g := newGrid(5, 3)
	g.write([]byte("abcde\r\nfg\r\nhi"))
	g.resize(3, 2)
	if got := strings.Join(g.lines(), "/"); got != "abc/fg" {
		t.Error(got)
	}
	g.write([]byte("\x1b[Hx"))
	g.resize(6, 4)
	if got := strings.Join(g.lines(), "/"); got != "xbc/fg//" {
		t.Error(got)
	}
}

// A program's bytes are seen on the screen, and keys reach it.
func TestTerminal(t *testing.T) {
	s := Open(t, 20, 5)
	if _, err := s.TTY.WriteString("hello\x1b[1m you\x1b[m"); err != nil {
		t.Fatal(err)
	}
	s.Shows("hello you")
	if got := s.Strong(); len(got) != 1 {
		t.Errorf("bold: %q", got)
	}
	s.Type("k\n")
	key := make([]byte, 8)
	if n, err := s.TTY.Read(key); err != nil || string(key[:n]) != "k\n" {
		t.Errorf("%q, %v", key[:n], err)
	}
	s.Clean()
}
