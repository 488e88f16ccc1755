package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Sockets and the lock, below the directories that the operator names.
const (
	PluginSocket = DriverName + ".sock"
	APISocket    = "api.sock"
	lockFile     = "lock"
)

// drainTimeout is how long a shutdown waits for requests in hand: longer than their deadline makes no sense.
const drainTimeout = handlerTimeout

// ErrRunning: another falcon of this host uses the run directory.
var ErrRunning = errors.New("another falcon is running")

// Lock makes this process the only falcon with this run directory, until it ends.
func Lock(runDir string) (*os.File, error) {
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(runDir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w: stop it first", f.Name(), ErrRunning)
	}
	return f, nil
}

// hostLock is an abstract socket: it belongs to the network namespace, whatever the file systems are, and goes with
// the process.
const hostLock = "@" + DriverName

// LockHost makes this process the only falcon in its network namespace, until the lock is closed. Another one with
// directories of its own would take the devices of this one for leftovers.
func LockHost(ctx context.Context) (io.Closer, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", hostLock)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("lock this host: %w: stop it first (see: ss -xlp src %s)", ErrRunning, hostLock)
	}
	if err != nil {
		return nil, fmt.Errorf("lock this host: %w", err)
	}
	return l, nil
}

// Listen opens a Unix socket that only root can use. It replaces what a killed process left, which the caller's
// Lock makes safe; a socket that somebody answers on is not replaced.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	var dialer net.Dialer
	if c, err := dialer.DialContext(ctx, "unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen on %s: %w there: stop it first", path, ErrRunning)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("restrict %s: %w", path, err), l.Close())
	}
	return l, nil
}

// RemoveFiles removes what a falcon that runs no more has left: its lock and its sockets, and the run directory if nothing else is in it.
func RemoveFiles(runDir string, pluginDirs ...string) error {
	files := []string{filepath.Join(runDir, APISocket), filepath.Join(runDir, lockFile)}
	for _, dir := range pluginDirs {
		files = append(files, filepath.Join(dir, PluginSocket))
	}
	var errs []error
	for _, file := range append(files, runDir) {
		switch err := os.Remove(file); {
		case errors.Is(err, fs.ErrNotExist):
		case file == runDir && (errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY)): // others' files are in it, or it is a mount: RuntimeDirectory=
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Service is a handler and where it listens.
type Service struct {
	Listener net.Listener
	Handler  http.Handler
}

// Serve answers Docker on its listeners and others, such as falcon's other commands, on theirs, until ctx ends; then it lets the
// requests in hand be answered.
func Serve(ctx context.Context, plugin []net.Listener, h *Handler, others ...Service) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for _, l := range plugin {
		tasks.Go(func() error { return ignoreClosed(h.Serve(l)) })
	}
	servers := make([]*http.Server, 0, len(others))
	for _, o := range others {
		server := &http.Server{Handler: o.Handler, ReadHeaderTimeout: handlerTimeout}
		servers = append(servers, server)
		tasks.Go(func() error { return ignoreClosed(server.Serve(o.Listener)) })
	}
	tasks.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		var errs []error
		for _, l := range plugin {
			errs = append(errs, ignoreClosed(l.Close()))
		}
		h.Drain(drain)
		for _, server := range servers {
			errs = append(errs, server.Shutdown(drain))
		}
		return errors.Join(errs...)
	})
	return tasks.Wait()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
