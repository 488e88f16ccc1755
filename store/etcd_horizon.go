package store

import (
	"context"
	"fmt"
	"sync"
)

// errReplaced ends the watches of a history that is gone.
var errReplaced = fmt.Errorf("%w: the store was replaced: its revision went back", ErrCompacted)

// horizon is the newest revision known. Operations are linearizable, so a reply whose revision is lower
// than what was known before the request comes from a store that lost its data or was restored from a
// backup. A watch would not notice: it would wait, deaf, until the revisions have caught up.
type horizon struct {
	parent context.Context

	mu     sync.Mutex // guards what follows; cancel is called under it, nothing else
	newest int64
	era    context.Context // ends when the store was replaced
	cancel context.CancelCauseFunc
}

func newHorizon(parent context.Context) *horizon {
	h := &horizon{parent: parent}
	h.era, h.cancel = context.WithCancelCause(parent)
	return h
}

// now returns the newest revision known and the era it belongs to.
func (h *horizon) now() (int64, context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest, h.era
}

// observe takes the revision of a reply to a request that was sent when before was the newest known. It
// reports whether the store was replaced in between.
func (h *horizon) observe(before, revision int64) (replaced bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if revision >= before {
		h.newest = max(h.newest, revision)
		return false
	}
	if h.newest < before {
		return false // somebody else has noticed already
	}
	h.newest = revision
	h.cancel(errReplaced)
	h.era, h.cancel = context.WithCancelCause(h.parent)
	return true
}
