package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// killWait is how long the output of a killed process may stay open: its descendants can hold it.
const killWait = 2 * time.Second

// Process is a command that runs in a host.
type Process struct {
	what   string // for errors
	cmd    *exec.Cmd
	stdout buffer
	stderr buffer
	done   chan struct{} // closed when the process has ended and err is set
	err    error
}

// command prepares argv for a host: its environment is a fresh root login's, whatever the caller's is. The
// process leads a session, so that signals of the caller's terminal pass it by and ctx kills all of it.
func (h *Host) command(ctx context.Context, argv ...string) *exec.Cmd {
	// env looks the command up in the host's PATH and file system.
	cmd := exec.CommandContext(ctx, "/usr/bin/env", argv...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + hostPath,
		"HOME=/root",
		"LANG=C.UTF-8",
		"HOSTNAME=" + h.Name,
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = killWait
	return cmd
}

// Start runs argv in the host in the background, for no longer than limit and ctx last.
func (h *Host) Start(ctx context.Context, limit time.Duration, argv ...string) (*Process, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	p, err := h.start(ctx, all, nil, argv...)
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		<-p.done
		cancel()
	}()
	return p, nil
}

// Exec runs argv in the host and returns its standard output without trailing newlines. What it wrote to
// standard error is in the error.
func (h *Host) Exec(ctx context.Context, argv ...string) (string, error) {
	return h.exec(ctx, all, nil, argv...)
}

// ExecInput is Exec with a standard input.
func (h *Host) ExecInput(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	return h.exec(ctx, all, stdin, argv...)
}

func (h *Host) exec(ctx context.Context, which int, stdin io.Reader, argv ...string) (string, error) {
	p, err := h.start(ctx, which, stdin, argv...)
	if err != nil {
		return "", err
	}
	return p.Wait()
}

func (h *Host) start(ctx context.Context, which int, stdin io.Reader, argv ...string) (*Process, error) {
	p := &Process{
		what: fmt.Sprintf("run %q on %s", strings.Join(argv, " "), h.Name),
		cmd:  h.command(ctx, argv...),
		done: make(chan struct{}),
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.stdout, &p.stderr
	if err := h.ns.do(which, p.cmd.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", p.what, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		if p.err != nil && ctx.Err() != nil {
			p.err = fmt.Errorf("%w (%w)", context.Cause(ctx), p.err)
		}
	}()
	return p, nil
}

// Wait waits for the end of the process and returns as Exec does.
func (p *Process) Wait() (string, error) {
	<-p.done
	out := p.Output()
	if p.err != nil {
		return out, fmt.Errorf("%s: %w: %s", p.what, p.err, strings.TrimSpace(p.stderr.String()))
	}
	return out, nil
}

// Stop interrupts the process as Ctrl-C does and returns its output; it kills a process that does not heed.
func (p *Process) Stop() (string, error) {
	if err := p.signal(unix.SIGINT); err != nil {
		return p.Output(), err
	}
	select {
	case <-p.done:
	case <-time.After(killWait):
		if err := killGroup(p.cmd.Process); err != nil {
			return p.Output(), err
		}
		<-p.done
	}
	return p.Output(), nil
}

// Pid is the process as seen from outside of the host. A command that only starts a program, as nsenter does, becomes it.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what the process has written to standard output so far.
func (p *Process) Output() string { return strings.TrimRight(p.stdout.String(), "\n") }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

func (p *Process) signal(s unix.Signal) error {
	err := p.cmd.Process.Signal(s)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.what, err)
	}
	return nil
}

// killGroup kills a process that leads its process group, and the group.
func killGroup(p *os.Process) error {
	err := unix.Kill(-p.Pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// buffer collects output and can be read meanwhile.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
