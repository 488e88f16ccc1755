package datapath

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// inNetns runs f on a thread that is in ns, or right here if ns is netns.None().
//
// It uses a goroutine of its own, so that a thread that cannot be brought back to its namespace is never
// handed to anybody else: the goroutine ends with the thread still locked, and the runtime then ends the
// thread (documented at runtime.LockOSThread).
func inNetns(ns netns.NsHandle, f func() error) error {
	if !ns.IsOpen() {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		tainted, err := switched(ns, f)
		if !tainted {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// switched runs f in ns on the calling, locked thread and tells whether the thread stayed elsewhere.
func switched(ns netns.NsHandle, f func() error) (tainted bool, err error) {
	origin, err := netns.Get()
	if err != nil {
		return false, fmt.Errorf("get network namespace: %w", err)
	}
	defer origin.Close()
	if err := netns.Set(ns); err != nil {
		return false, fmt.Errorf("enter network namespace: %w", err)
	}
	err = f()
	if back := netns.Set(origin); back != nil {
		return true, errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
	}
	return false, err
}
