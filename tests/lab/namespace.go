package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespaces of a host.
const (
	netOnly = unix.CLONE_NEWNET
	all     = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
)

// namespaces are those of a process, by its pidfd.
type namespaces struct{ pidfd int }

// do runs fn on a thread that has entered the chosen namespaces; processes that fn starts are born there.
// The thread is never used again.
func (n namespaces) do(which int, fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// /proc/self means the main thread for everybody, so it must stay clean: keep it
			// busy while another does the work.
			result <- n.do(which, fn)
			runtime.UnlockOSThread()
			return
		}
		// The thread stays locked and so ends with the goroutine.
		if err := n.enter(which); err != nil {
			result <- err
			return
		}
		result <- fn()
	}()
	return <-result
}

func (n namespaces) enter(which int) error {
	if which&unix.CLONE_NEWNS != 0 {
		// A thread that shares its root directory with others may not change mount namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare file system attributes: %w", err)
		}
	}
	if err := unix.Setns(n.pidfd, which); err != nil {
		return fmt.Errorf("enter namespaces: %w", err)
	}
	return nil
}
