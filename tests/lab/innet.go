package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// InNet runs fn on a thread that is in a network namespace of the host, and returns its error: sockets that fn
// opens are there for good, and so a test can listen and send inside a container without a program of its
// own there. sandbox is the namespace's file as seen in the host, such as a container's SandboxKey; empty for the
// host's own network.
//
// fn must do its work itself: a goroutine that it starts runs on another thread.
func (h *Host) InNet(sandbox string, fn func() error) error {
	err := h.ns.do(all, func() error {
		if sandbox != "" {
			if err := enterFile(sandbox); err != nil {
				return err
			}
		}
		return fn()
	})
	if err != nil {
		return fmt.Errorf("in network %s of %s: %w", sandbox, h.Name, err)
	}
	return nil
}

func enterFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("setns", unix.Setns(int(f.Fd()), unix.CLONE_NEWNET))
}
