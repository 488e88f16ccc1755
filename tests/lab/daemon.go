package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readyLimit = 60 * time.Second // for a daemon to answer, unless the context is shorter
	stopLimit  = 30 * time.Second // for a daemon to heed SIGTERM
	logLines   = 40               // of a log that an error or a diagnosis quotes
)

// Daemon is a long-running program of a host. It lives until it is stopped or the lab is closed, whatever
// context started it. Its methods may be called by several goroutines, one after the other.
type Daemon struct {
	Name string
	Log  string // path, outside of the host

	host  *Host
	ready func(context.Context) error // nil when the daemon answers

	mu   sync.Mutex    // guards what follows
	argv []string      // with which it starts next
	cmd  *exec.Cmd     // nil before the first start
	done chan struct{} // closed when cmd has ended
}

func newDaemon(h *Host, name string, ready func(context.Context) error, argv ...string) *Daemon {
	return &Daemon{
		Name:  name,
		Log:   filepath.Join(h.lab.dir, h.Name+"."+name+".log"),
		host:  h,
		argv:  argv,
		ready: ready,
	}
}

// Args is the command line with which the daemon starts next.
func (d *Daemon) Args() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.argv...)
}

// SetArgs changes Args.
func (d *Daemon) SetArgs(argv ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.argv = argv
}

// Start starts the daemon and waits until it answers. It is an error when it runs already.
func (d *Daemon) Start(ctx context.Context) error {
	if err := d.launch(); err != nil {
		return fmt.Errorf("start %s on %s: %w", d.Name, d.host.Name, err)
	}
	if err := d.AwaitReady(ctx); err != nil {
		return fmt.Errorf("start %s on %s: %w\n%s", d.Name, d.host.Name, err, d.LogTail())
	}
	return nil
}

func (d *Daemon) launch() error {
	if d.Running() {
		return errors.New("runs already")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := d.host.command(context.Background(), d.argv...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := d.host.ns.do(all, cmd.Start); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // its end is seen, the reason is in the log
	}()
	d.cmd, d.done = cmd, done
	return nil
}

// AwaitReady waits until the daemon answers, and fails at once when it has ended.
func (d *Daemon) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	_, done := d.process()
	go func() {
		select {
		case <-done:
			fail(errors.New("it ended"))
		case <-ctx.Done():
		}
	}()
	return Poll(ctx, d.ready)
}

// Running tells whether the daemon's process exists.
func (d *Daemon) Running() bool {
	_, done := d.process()
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// Done is closed when the daemon's process has ended, or never was.
func (d *Daemon) Done() <-chan struct{} {
	_, done := d.process()
	return done
}

// Pid is the daemon's process as seen from outside of the host; 0 before the first start.
func (d *Daemon) Pid() int {
	cmd, _ := d.process()
	if cmd == nil {
		return 0
	}
	return cmd.Process.Pid
}

// Stop asks the daemon to end and waits for it. One that does not in time is killed, which is an error. It is
// none to stop what does not run.
func (d *Daemon) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := d.Signal(unix.SIGTERM); err != nil {
		return err
	}
	if err := d.awaitEndOr(ctx); err != nil {
		err = fmt.Errorf("stop %s on %s: %w\n%s", d.Name, d.host.Name, err, d.LogTail())
		return errors.Join(err, d.Signal(unix.SIGKILL))
	}
	return nil
}

// Kill ends the daemon's process, and no other, as a crash would.
func (d *Daemon) Kill(ctx context.Context) error {
	if err := d.Signal(unix.SIGKILL); err != nil {
		return err
	}
	if err := d.awaitEndOr(ctx); err != nil {
		return fmt.Errorf("kill %s on %s: %w", d.Name, d.host.Name, err)
	}
	return nil
}

// Restart is Stop and Start.
func (d *Daemon) Restart(ctx context.Context) error {
	if err := d.Stop(ctx); err != nil {
		return err
	}
	return d.Start(ctx)
}

// Signal sends a signal to the daemon's process, if there is one.
func (d *Daemon) Signal(s unix.Signal) error {
	cmd, _ := d.process()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s on %s: %w", d.Name, d.host.Name, err)
	}
	return nil
}

func (d *Daemon) awaitEndOr(ctx context.Context) error {
	select {
	case <-d.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Daemon) process() (*exec.Cmd, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		never := make(chan struct{})
		close(never)
		return nil, never
	}
	return d.cmd, d.done
}

// LogTail is the end of the daemon's log.
func (d *Daemon) LogTail() string {
	log, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(log), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}
