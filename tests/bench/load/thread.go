package load

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// thread is an operating system thread of its own, which may have entered a namespace and be bound to a core. It ends
// when it is closed and is never used for anything else.
type thread struct {
	calls chan func()
	ended chan struct{}
	id    int
}

// anyCPU leaves a thread where the scheduler wants it.
const anyCPU = -1

// startThread makes a thread in a network namespace, empty for the caller's.
func startThread(namespace string, cpu int) (*thread, error) {
	t := &thread{calls: make(chan func()), ended: make(chan struct{})}
	ready := make(chan error, 1)
	go t.run(namespace, cpu, ready)
	if err := <-ready; err != nil {
		<-t.ended
		return nil, err
	}
	return t, nil
}

func (t *thread) run(namespace string, cpu int, ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread outlives its goroutine, and /proc/self means it: it must stay clean. Keep it busy
		// while another does the work.
		defer runtime.UnlockOSThread()
		go t.run(namespace, cpu, ready)
		<-t.ended
		return
	}
	defer close(t.ended)
	// The thread stays locked and so ends with the goroutine.
	t.id = unix.Gettid()
	err := enter(namespace, cpu)
	ready <- err
	if err != nil {
		return
	}
	for call := range t.calls {
		call()
	}
}

// enter takes the calling thread into a namespace and to a core.
func enter(namespace string, cpu int) error {
	if namespace != "" {
		f, err := os.Open(namespace)
		if err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", namespace, err)
		}
	}
	if cpu == anyCPU {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind to CPU %d: %w", cpu, err)
	}
	return nil
}

// do runs fn on the thread.
func (t *thread) do(fn func() error) error {
	result := make(chan error, 1)
	t.calls <- func() { result <- fn() }
	return <-result
}

// close ends the thread. Nobody may use it any more.
func (t *thread) close() {
	close(t.calls)
	<-t.ended
}

// onThread runs fn on a thread made for it.
func onThread(namespace string, cpu int, fn func() error) error {
	t, err := startThread(namespace, cpu)
	if err != nil {
		return err
	}
	defer t.close()
	return t.do(fn)
}
