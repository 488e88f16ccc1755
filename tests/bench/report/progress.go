package report

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Progress tells what runs, how far a run is, and how long it will still take if steps go on as so far.
type Progress struct {
	out      io.Writer
	total    int
	begun    int
	start    time.Time
	terminal bool
	now      func() time.Time
}

// NewProgress expects so many steps. On a terminal one line is rewritten.
func NewProgress(out io.Writer, total int) *Progress {
	p := &Progress{out: out, total: total, now: time.Now}
	if f, ok := out.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.terminal = err == nil
	}
	return p
}

// Step announces the next step; the one before is over.
func (p *Progress) Step(what string) {
	left := "unknown"
	if p.begun == 0 {
		p.start = p.now()
	} else {
		each := p.now().Sub(p.start) / time.Duration(p.begun)
		left = "about " + (each * time.Duration(max(0, p.total-p.begun))).Round(time.Second).String()
	}
	p.begun++
	p.print(fmt.Sprintf("[%d of %d] %s (left: %s)", p.begun, p.total, what, left))
}

// Done ends the last step.
func (p *Progress) Done() {
	if p.begun > 0 {
		p.print(fmt.Sprintf("[%d of %d] done after %v", p.begun, p.total, p.now().Sub(p.start).Round(time.Second)))
	}
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}

func (p *Progress) print(line string) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K%s", line)
		return
	}
	fmt.Fprintln(p.out, line)
}
