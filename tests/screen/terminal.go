package screen

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds how long something may take to appear, on a loaded machine.
const patience = 20 * time.Second

// Terminal is both sides of a pseudo-terminal.
type Terminal struct {
	TTY *os.File // the program's side

	t      testing.TB
	master *os.File
	ended  chan struct{}

	mu   sync.Mutex // guards grid and seen
	grid *grid
	seen strings.Builder // all that was written
}

// Open makes one that ends with the test.
func Open(t testing.TB, width, height int) *Terminal {
	t.Helper()
	master, tty, err := openPair()
	if err != nil {
		t.Fatalf("open pseudo-terminal: %v", err)
	}
	s := &Terminal{TTY: tty, t: t, master: master, grid: newGrid(width, height), ended: make(chan struct{})}
	s.setSize(width, height)
	go s.watch()
	t.Cleanup(func() {
		if err := errors.Join(tty.Close(), master.Close()); err != nil {
			t.Error(err)
		}
		<-s.ended
	})
	return s
}

func openPair() (master, tty *os.File, err error) {
	// Not blocking, so that Close ends a Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), tty, nil
}

func (s *Terminal) watch() {
	defer close(s.ended)
	chunk := make([]byte, 4096)
	for {
		n, err := s.master.Read(chunk)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.grid.write(chunk[:n])
		s.seen.Write(chunk[:n])
		s.mu.Unlock()
	}
}

func (s *Terminal) setSize(width, height int) {
	s.t.Helper()
	size := &unix.Winsize{Row: uint16(height), Col: uint16(width)}
	if err := unix.IoctlSetWinsize(int(s.TTY.Fd()), unix.TIOCSWINSZ, size); err != nil {
		s.t.Fatal(err)
	}
}

// Resize changes the window. The kernel tells the programs that have the terminal as their controlling one.
func (s *Terminal) Resize(width, height int) {
	s.t.Helper()
	s.mu.Lock()
	s.grid.resize(width, height)
	s.mu.Unlock()
	s.setSize(width, height)
}

// Type presses keys.
func (s *Terminal) Type(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// Lines are what is on the screen.
func (s *Terminal) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grid.lines()
}

// Text is Lines with a frame around them, for messages.
func (s *Terminal) Text() string { return "| " + strings.Join(s.Lines(), "\n| ") }

// Strong are the lines with something in bold.
func (s *Terminal) Strong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for i, line := range s.grid.lines() {
		if s.grid.strong[i] {
			list = append(list, line)
		}
	}
	return list
}

// Await waits until the screen is as wanted.
func (s *Terminal) Await(what string, wanted func(lines []string) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !wanted(s.Lines()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not on the screen:\n%s", what, s.Text())
		}
	}
}

// Shows waits until a text is on the screen, in one line.
func (s *Terminal) Shows(text string) {
	s.t.Helper()
	s.Await(text, func(lines []string) bool { return strings.Contains(strings.Join(lines, "\n"), text) })
}

// Clean checks that nothing was written that a terminal would not know, and nothing beyond the window's edge.
func (s *Terminal) Clean() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.grid.problems) > 0 {
		s.t.Errorf("%q", s.grid.problems)
	}
}

// Settings are the terminal's.
func (s *Terminal) Settings() unix.Termios {
	s.t.Helper()
	t, err := unix.IoctlGetTermios(int(s.TTY.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *t
}

// TakenOver tells whether a program has the screen for itself, and the cursor hidden.
func (s *Terminal) TakenOver() (screen, cursor bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grid.alternate, s.grid.hidden
}

// Written is all that was written so far.
func (s *Terminal) Written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}
