package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// hostName is the name of the host. A managed plugin has a UTS namespace, and so a name, of its own: with the root of the host's first
// process (/proc/1/root) that process's namespace is next to it.
func hostName(hostRoot string) (string, error) {
	if hostRoot == "" {
		name, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("read host name: %w", err)
		}
		return name, nil
	}
	ns, err := os.Open(filepath.Join(filepath.Dir(hostRoot), "ns", "uts"))
	if err != nil {
		return "", fmt.Errorf("read host name: --host-root=%s is no process's root: %w", hostRoot, err)
	}
	defer ns.Close()
	type result struct {
		name string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread, which is elsewhere from now on, ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWUTS); err != nil {
			done <- result{"", fmt.Errorf("read host name: enter the host's UTS namespace: %w", err)}
			return
		}
		var u unix.Utsname
		err := unix.Uname(&u)
		done <- result{unix.ByteSliceToString(u.Nodename[:]), err}
	}()
	r := <-done
	return r.name, r.err
}
