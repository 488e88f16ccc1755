package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/tests/screen"
)

// runTop runs it on a terminal until the test has seen it end.
func runTop(ctx context.Context, dir string, p *screen.Terminal) (ended chan error) {
	ended = make(chan error, 1)
	go func() { ended <- top{dir, leastInterval, false}.run(ctx, p.TTY, p.TTY) }()
	return ended
}

// givenBack checks that nothing of top is left on a terminal.
func givenBack(t *testing.T, p *screen.Terminal, before unix.Termios) {
	t.Helper()
	p.Await("the screen given back", func([]string) bool { taken, hidden := p.TakenOver(); return !taken && !hidden })
	if p.Settings() != before {
		t.Error("the terminal's settings are not as they were")
	}
	p.Clean()
}

func TestTopOnATerminal(t *testing.T) {
	d, p := newFakeDaemon(t), screen.Open(t, 80, 24)
	before := p.Settings()
	ended := runTop(t.Context(), d.dir, p)
	p.Shows("held/s") // is there once counters have grown
	if taken, hidden := p.TakenOver(); !taken || !hidden {
		t.Error("the screen is not taken over")
	}
	p.Type("\x1b[d") // shift and an arrow, in some terminals
	p.Type("s")
	p.Shows("static (EXPERIMENT")
	if strong := p.Strong(); !slices.ContainsFunc(strong, func(s string) bool { return strings.Contains(s, "EXPERIMENT") }) {
		t.Errorf("an experiment does not catch the eye: %q", strong)
	}
	p.Type("r")
	p.Type("o")
	p.Shows("off (EXPERIMENT")
	p.Type("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	givenBack(t, p, before)
	p.Shows("the experiment (off) is over: steering is as configured (dynamic)")
	if got := d.log(); got != `["static" "" "off" ""]` {
		t.Errorf("tried %s", got)
	}
}

// Splitting is tried beside a mode, and both end together.
func TestTopTriesSplitting(t *testing.T) {
	d, p := newFakeDaemon(t), screen.Open(t, 80, 24)
	ended := runTop(t.Context(), d.dir, p)
	p.Shows("held/s")
	p.Type("p")
	p.Shows("split on (EXPERIMENT, configured: off)")
	p.Type("s")
	p.Shows("static (EXPERIMENT")
	p.Type("p")
	p.Shows("split off (EXPERIMENT")
	p.Type("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.Shows("the experiment (static, split off) is over")
	if got := d.log(); got != `["split on" "static, split on" "static, split off" ""]` {
		t.Errorf("tried %s", got)
	}
}

// What is drawn is what the view has, to the last column, in windows of all sizes and when one is resized.
func TestTopFillsTheScreen(t *testing.T) {
	d, p := newFakeDaemon(t), screen.Open(t, 80, 24)
	ended := runTop(t.Context(), d.dir, p)
	for _, size := range [][2]int{{80, 24}, {132, 43}, {40, 24}, {79, 12}, {80, 24}} {
		p.Resize(size[0], size[1])
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil { // the kernel tells only who has it as controlling terminal
			t.Fatal(err)
		}
		p.Await("a screen of one drawing", func(lines []string) bool {
			last := len(lines) - 1
			return len(lines) == size[1] && strings.HasPrefix(lines[0], "falcon top") && strings.HasSuffix(lines[last], "q quit") &&
				slices.Equal(lines, drawn(size[0], size[1], lines))
		})
	}
	p.Type("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.Clean()
}

// drawn is what the fake daemon's figures make of a window, with the time that is on the screen.
func drawn(width, height int, lines []string) []string {
	v := viewOf(2, width, height)
	want := make([]string, 0, height)
	for _, line := range v.lines() {
		want = append(want, strings.TrimRight(line.text, " "))
	}
	for i := range want { // figures and times depend on how long the interval was
		if i < len(lines) && sameShape(want[i], lines[i]) {
			want[i] = lines[i]
		}
	}
	return want
}

// sameShape compares lines but for digits, signs of size and blanks.
func sameShape(a, b string) bool {
	strip := func(s string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune("0123456789.kM <", r) {
				return -1
			}
			return r
		}, s)
	}
	return strip(a) == strip(b)
}

// However it ends, the terminal is as it was and nothing is left on trial.
func TestTopGivesTheTerminalBack(t *testing.T) {
	for name, end := range map[string]func(p *screen.Terminal, stop func()){
		"signal":    func(_ *screen.Terminal, stop func()) { stop() },
		"control-C": func(p *screen.Terminal, _ func()) { p.Type("\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			d, p := newFakeDaemon(t), screen.Open(t, 80, 24)
			before := p.Settings()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := runTop(ctx, d.dir, p)
			p.Shows("q quit")
			p.Type("s")
			p.Shows("EXPERIMENT")
			end(p, stop)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			givenBack(t, p, before)
			if d.log() != `["static" ""]` {
				t.Errorf("tried %s", d.log())
			}
		})
	}
}

// A daemon that ends is missed, with old figures marked as such, and watched again when it is back.
func TestTopOutlivesTheDaemon(t *testing.T) {
	d, p := newFakeDaemon(t), screen.Open(t, 80, 24)
	ended := runTop(t.Context(), d.dir, p)
	p.Shows("held/s")
	p.Type("s")
	p.Shows("static (EXPERIMENT")
	d.stop()
	p.Shows("THE DAEMON DOES NOT ANSWER (")
	if strong := strings.Join(p.Strong(), " "); !strings.Contains(strong, "NOT ANSWER") || !strings.Contains(strong, "goes on when") {
		t.Errorf("it does not catch the eye: %q", strong)
	}
	p.Shows("10.72.0.2:5201/udp") // the last that is known
	p.Type("o")                   // cannot be
	p.Shows("is `falcon serve`")
	d.start(t)
	p.Await("the daemon again", func(lines []string) bool { return !strings.Contains(strings.Join(lines, " "), "NOT ANSWER") })
	p.Shows("steering dynamic")
	p.Type("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if text := p.Text(); strings.Contains(text, "is over") {
		t.Errorf("an experiment that ended with the daemon was ended again:\n%s", text)
	}
	p.Clean()
}

// What the daemon's end has ended is not said to go on.
func TestTopEndsAfterTheDaemon(t *testing.T) {
	d, p := newFakeDaemon(t), screen.Open(t, 80, 24)
	before := p.Settings()
	ended := runTop(t.Context(), d.dir, p)
	p.Shows("q quit")
	p.Type("s")
	p.Shows("EXPERIMENT")
	d.stop()
	p.Shows("NOT ANSWER")
	p.Type("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	givenBack(t, p, before)
	p.Shows("the experiment (static) has ended with the daemon")
}

// An experiment that somebody else ends is nothing to be ended at the end.
func TestTopLosesItsExperiment(t *testing.T) {
	trial, none := topTrial{mode: "static"}, topTrial{}
	e := topExperiment{mine: trial, changed: time.Now()}
	if e.lost(trial) || !e.lost(none) || e.lost(none) || e.mine != none {
		t.Errorf("%+v", e)
	}
}

func TestAfterEscape(t *testing.T) {
	for chunk, want := range map[string]string{
		"\x1b": "", "\x1bd": "", "\x1b[d": "", "\x1b[dq": "q", "\x1b[1;5Aq": "q", "\x1b[1;5": "", "\x1bOPs": "s", "\x1bO": "",
	} {
		if got := string(afterEscape([]byte(chunk))); got != want {
			t.Errorf("%q: %q, want %q", chunk, got, want)
		}
	}
}

func TestPanicGivesTheTerminalBack(t *testing.T) {
	p := screen.Open(t, 80, 24)
	before := p.Settings()
	taken, err := openTerminal(p.TTY, p.TTY)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		defer taken.guard()
		panic("bug")
	}()
	givenBack(t, p, before)
}
