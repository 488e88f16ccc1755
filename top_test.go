package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/driver"
)

// fakeDaemon answers as the daemon's API does.
type fakeDaemon struct {
	dir string

	mu         sync.Mutex // guards all below
	looks      int
	experiment string
	tried      []string
}

func newFakeDaemon(t *testing.T) *fakeDaemon {
	t.Helper()
	d := &fakeDaemon{dir: t.TempDir()}
	l, err := net.Listen("unix", filepath.Join(d.dir, driver.APISocket))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+driver.StatusPath, d.status)
	mux.HandleFunc("PUT "+driver.SteeringPath, d.steer)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return d
}

func (d *fakeDaemon) status(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, after := busyHost(2)
	s := before.status
	if d.looks++; d.looks%2 == 0 {
		s = after.status
	}
	s.Steering.Experiment = d.experiment
	_ = json.NewEncoder(w).Encode(s)
}

func (d *fakeDaemon) steer(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var request driver.SteeringRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Mode == nil {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	d.experiment = *request.Mode
	d.tried = append(d.tried, d.experiment)
	_ = json.NewEncoder(w).Encode(driver.SteeringStatus{Mode: "dynamic", Experiment: d.experiment})
}

func (d *fakeDaemon) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%q", d.tried)
}

func TestTopOnceIsText(t *testing.T) {
	var out bytes.Buffer
	err := top{newFakeDaemon(t).dir, leastInterval, true}.run(t.Context(), strings.NewReader("d"), &out)
	if err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "falcon top") != 1 || strings.Contains(text, escape) || strings.Contains(text, "quit") {
		t.Error(text)
	}
}

func TestTopIntoAPipeIsTextUntilTold(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- top{newFakeDaemon(t).dir, leastInterval, false}.run(ctx, read, write) }()
	blocks := 0
	for lines := bufio.NewScanner(read); blocks < 3 && lines.Scan(); {
		if strings.Contains(lines.Text(), escape) {
			t.Fatalf("escape codes: %q", lines.Text())
		}
		if strings.HasPrefix(lines.Text(), "falcon top") {
			blocks++
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTopWithoutDaemonSaysWhatToDo(t *testing.T) {
	err := top{t.TempDir(), leastInterval, false}.run(t.Context(), strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "falcon serve") {
		t.Error(err)
	}
	if err := (top{interval: time.Millisecond}).run(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "--interval") {
		t.Error(err)
	}
}

// person is the other side of a pseudo-terminal.
type person struct {
	master, tty *os.File
	mu          sync.Mutex // guards seen
	seen        strings.Builder
}

func newPerson(t *testing.T) *person {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{master: master, tty: tty}
	p.resize(t, 80, 24)
	go p.watch()
	t.Cleanup(func() { tty.Close(); master.Close() })
	return p
}

func (p *person) resize(t *testing.T, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}); err != nil {
		t.Fatal(err)
	}
}

func (p *person) watch() {
	chunk := make([]byte, 4096)
	for {
		n, err := p.master.Read(chunk)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen.Write(chunk[:n])
		p.mu.Unlock()
	}
}

// sees waits for a text, and forgets what came before.
func (p *person) sees(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		seen := p.seen.String()
		if _, rest, ok := strings.Cut(seen, text); ok {
			p.seen.Reset()
			p.seen.WriteString(rest)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("%q is not on the screen: %q", text, seen[max(0, len(seen)-3000):])
		}
	}
}

func (p *person) presses(t *testing.T, keys string) {
	t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func (p *person) settings(t *testing.T) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func TestTopOnATerminal(t *testing.T) {
	d, p := newFakeDaemon(t), newPerson(t)
	before := p.settings(t)
	ended := make(chan error, 1)
	go func() { ended <- top{d.dir, leastInterval, false}.run(t.Context(), p.tty, p.tty) }()
	p.sees(t, enterScreen)
	p.sees(t, "held/s")    // is there once counters have grown
	p.presses(t, "\x1b[d") // shift and an arrow, in some terminals
	p.presses(t, "s")
	p.sees(t, "static (EXPERIMENT")
	p.resize(t, 40, 24)
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	p.sees(t, "0>1>1")
	p.presses(t, "r")
	p.presses(t, "o")
	p.sees(t, "off (EXPERIMENT")
	p.presses(t, "q")
	p.sees(t, leaveScreen)
	p.sees(t, "the experiment (off) is over: steering is as configured (dynamic)")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := d.log(); got != `["static" "" "off" ""]` {
		t.Errorf("tried %s", got)
	}
	if p.settings(t) != before {
		t.Error("the terminal is not as it was")
	}
}

// However it ends, the terminal is as it was and nothing is left on trial.
func TestTopGivesTheTerminalBack(t *testing.T) {
	for name, end := range map[string]func(p *person, stop func()){
		"signal":    func(_ *person, stop func()) { stop() },
		"control-C": func(p *person, _ func()) { p.presses(t, "\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			d, p := newFakeDaemon(t), newPerson(t)
			before := p.settings(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan error, 1)
			go func() { ended <- top{d.dir, leastInterval, false}.run(ctx, p.tty, p.tty) }()
			p.sees(t, "q quit")
			p.presses(t, "s")
			p.sees(t, "EXPERIMENT")
			end(p, stop)
			p.sees(t, leaveScreen)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if p.settings(t) != before || d.log() != `["static" ""]` {
				t.Errorf("left: settings %v, tried %s", p.settings(t) == before, d.log())
			}
		})
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
	p := newPerson(t)
	before := p.settings(t)
	screen, err := openTerminal(p.tty, p.tty)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		defer screen.guard()
		panic("bug")
	}()
	p.sees(t, leaveScreen)
	if p.settings(t) != before {
		t.Error("the terminal is not as it was")
	}
}
