package lab

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed holder.sh
var holderScript string

// holderDirs are what holder.sh wants to find in a host's directory, and their modes.
var holderDirs = map[string]os.FileMode{
	"run":        0o755,
	"tmp":        0o777 | os.ModeSticky,
	"docker":     0o755,
	"falcon":     0o755,
	"etc-docker": 0o755,
	"etc-falcon": 0o755,
}

// hostPath is the PATH of a host. The lab's own programs come first.
const hostPath = "/opt/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// holder is process 1 of a host and with it the host's namespaces. It ends when this process does, however
// that happens.
type holder struct {
	cmd      *exec.Cmd
	lifeline io.Closer // the holder ends when it is closed
	ns       namespaces
}

// newHolder returns when the host's file system is laid out and its loopback is up.
func newHolder(ctx context.Context, dir, name string) (*holder, error) {
	pidfd := -1
	// The first argument after the script shows in the process list, and cleanup looks for it.
	cmd := exec.Command("/bin/bash", "-c", holderScript, dir, dir, name)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + hostPath, "HOME=/root", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Cloneflags: all, PidFD: &pidfd}
	var stderr buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start process 1: %w", err)
	}
	h := &holder{cmd: cmd, lifeline: stdin, ns: namespaces{pidfd: pidfd}}
	if err := h.awaitReady(ctx, stdout); err != nil {
		err = errors.Join(err, h.Close())
		return nil, fmt.Errorf("lay out host: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return h, nil
}

func (h *holder) awaitReady(ctx context.Context, stdout io.Reader) error {
	stop := context.AfterFunc(ctx, func() { _ = h.cmd.Process.Kill() })
	defer stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("process 1 ended: %w", err)
	}
	if line != "ready\n" {
		return fmt.Errorf("process 1 said %q", line)
	}
	return nil
}

// Close ends everything that runs in the namespaces. It may be called once.
func (h *holder) Close() error {
	err := h.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	// The kernel lets process 1 end only when all the others have; the error tells of the kill.
	_ = h.cmd.Wait()
	return errors.Join(err, unix.Close(h.ns.pidfd))
}
