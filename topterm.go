package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Escape sequences (ECMA-48, and xterm's for the second screen).
const (
	escape      = "\x1b"
	enterScreen = "\x1b[?1049h\x1b[?25l" // without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	bold        = "\x1b[1m"
	normal      = "\x1b[m"
)

// terminal is a person's screen and keyboard, taken over until Close.
type terminal struct {
	in      int
	out     *os.File
	before  unix.Termios
	keys    chan byte // closed when there is no keyboard any more
	resized chan os.Signal
	closing chan struct{}
	stop    *os.File      // closed with it, for the reader that waits for keys
	wake    *os.File      // its other end
	ended   chan struct{} // closed by the reader
	once    sync.Once
}

// isTerminal tells whether a person sees what is written to a file.
func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// openTerminal turns to a screen of our own, and has keys delivered as they are pressed.
func openTerminal(in, out *os.File) (*terminal, error) {
	t := &terminal{in: int(in.Fd()), out: out, keys: make(chan byte), resized: make(chan os.Signal, 1),
		closing: make(chan struct{}), ended: make(chan struct{})}
	before, err := unix.IoctlGetTermios(t.in, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read terminal's settings: %w", err)
	}
	t.before = *before
	if t.wake, t.stop, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	// Signals by key would be handled as well, but a suspended process would leave the screen as it is.
	raw := t.before
	raw.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(t.in, unix.TCSETS, &raw); err != nil {
		return nil, errors.Join(fmt.Errorf("set terminal: %w", err), t.stop.Close(), t.wake.Close())
	}
	signal.Notify(t.resized, unix.SIGWINCH)
	_, _ = t.out.WriteString(enterScreen)
	go t.read()
	return t, nil
}

// size is that of the window in characters.
func (t *terminal) size() (width, height int) {
	w, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 80, 24
	}
	return int(w.Col), int(w.Row)
}

// show replaces what is on the screen. It does not clear it first, which would flicker. A line as wide as the window leaves
// nothing to clear: the cursor stays on its last character, and that would go.
func (t *terminal) show(lines []topLine, width int) error {
	var b strings.Builder
	b.WriteString(toTop)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		text := line.text
		if line.strong {
			text = bold + text + normal
		}
		b.WriteString(text)
		if utf8.RuneCountInString(line.text) < width {
			b.WriteString(clearLine)
		}
	}
	if n := len(lines); n == 0 || utf8.RuneCountInString(lines[n-1].text) < width {
		b.WriteString(clearBelow)
	}
	_, err := t.out.WriteString(b.String())
	return err
}

// read delivers keys until Close, or until the terminal is gone.
func (t *terminal) read() {
	defer close(t.ended)
	defer close(t.keys)
	defer t.guard()
	wake := int(t.wake.Fd())
	chunk := make([]byte, 64)
	for {
		fds := []unix.PollFd{{Fd: int32(t.in), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || fds[1].Revents != 0 {
			return
		}
		n, err := unix.Read(t.in, chunk)
		if n <= 0 || err != nil {
			return
		}
		if !t.deliver(chunk[:n]) {
			return
		}
	}
}

// deliver hands on the keys of a chunk; false once nobody wants them.
func (t *terminal) deliver(chunk []byte) bool {
	for len(chunk) > 0 {
		if chunk[0] == escape[0] {
			chunk = afterEscape(chunk)
			continue
		}
		select {
		case t.keys <- chunk[0]:
			chunk = chunk[1:]
		case <-t.closing:
			return false
		}
	}
	return true
}

// afterEscape leaves out an arrow or the like: letters that nobody has pressed follow the escape (ECMA-48, section 5.4).
func afterEscape(chunk []byte) []byte {
	switch {
	case len(chunk) > 1 && chunk[1] == 'O': // a function key: one character follows
		return chunk[min(len(chunk), 3):]
	case len(chunk) == 1 || chunk[1] != '[':
		return chunk[min(len(chunk), 2):]
	}
	for i := 2; i < len(chunk); i++ {
		if chunk[i] >= '@' && chunk[i] <= '~' {
			return chunk[i+1:]
		}
	}
	return nil
}

// guard gives the screen back before the message of a panic is written to it. For goroutines; others have Close.
func (t *terminal) guard() {
	if p := recover(); p != nil {
		t.restore()
		panic(p)
	}
}

// restore leaves the terminal as it was found.
func (t *terminal) restore() {
	t.once.Do(func() {
		signal.Stop(t.resized)
		_, _ = t.out.WriteString(leaveScreen) // a terminal that is gone needs nothing
		_ = unix.IoctlSetTermios(t.in, unix.TCSETS, &t.before)
	})
}

// Close gives the terminal back.
func (t *terminal) Close() error {
	t.restore()
	close(t.closing)
	err := t.stop.Close()
	<-t.ended
	return errors.Join(err, t.wake.Close())
}
