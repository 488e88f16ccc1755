package driver

import (
	"context"
	"sync"
)

// inflight counts the requests in hand, so that a shutdown can let them end: one that is cut off reaches Docker
// as an error, and Docker cannot repeat it (the body is spent).
type inflight struct {
	mu     sync.Mutex // guards the rest; a leaf
	count  int
	closed bool
	idle   chan struct{} // closed when nothing is in hand after close
}

func newInflight() *inflight { return &inflight{idle: make(chan struct{})} }

// begin counts a request in; false once drain was called.
func (i *inflight) begin() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.count++
	return true
}

// end counts a request out.
func (i *inflight) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.count--
	if i.closed && i.count == 0 {
		close(i.idle)
	}
}

// drain lets no more requests begin and waits for those in hand, or for ctx.
func (i *inflight) drain(ctx context.Context) {
	i.mu.Lock()
	first := !i.closed
	i.closed = true
	if first && i.count == 0 {
		close(i.idle)
	}
	i.mu.Unlock()
	select {
	case <-i.idle:
	case <-ctx.Done():
	}
}
