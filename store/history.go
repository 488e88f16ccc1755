package store

import (
	"fmt"
	"strings"
	"sync"
)

// Bounds of the history that watchers of bolt can catch up from. Nothing but this process watches, so a
// watcher falls behind by a list and a few callbacks, not by hours.
const (
	historyCommits = 4096
	historyBytes   = 16 << 20
)

// change is what one commit did, in the order of its writes.
type change struct {
	revision int64
	events   []Event
}

func (c change) bytes() int {
	n := 0
	for _, e := range c.events {
		n += len(e.Key) + len(e.Value)
	}
	return n
}

// matching returns the events whose keys begin with prefix.
func (c change) matching(prefix string) []Event {
	var events []Event
	for _, e := range c.events {
		if strings.HasPrefix(e.Key, prefix) {
			events = append(events, e)
		}
	}
	return events
}

// history is the log of recent commits. Its revisions are consecutive. Committers add to it after their
// transaction, without a lock that spans both, so they may arrive out of order: what comes early waits in
// pending and is shown to nobody.
type history struct {
	maxCommits, maxBytes int

	mu      sync.Mutex // guards what follows; nothing else is locked or called under it
	head    int64      // newest revision shown
	changes []change   // up to head, oldest first
	size    int        // bytes of changes
	pending map[int64]change
	changed chan struct{} // closed, and replaced, when head moves
}

func newHistory(head int64, maxCommits, maxBytes int) *history {
	return &history{
		maxCommits: maxCommits,
		maxBytes:   maxBytes,
		head:       head,
		pending:    make(map[int64]change),
		changed:    make(chan struct{}),
	}
}

// add records a commit and shows it as soon as all before it are there.
func (h *history) add(c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.revision <= h.head {
		return // a reset went past it
	}
	h.pending[c.revision] = c
	h.advance()
}

// reset forgets everything up to head: a commit may or may not have happened, so watchers must list again.
func (h *history) reset(head int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if head < h.head {
		return
	}
	h.changes, h.size, h.head = nil, 0, head
	for revision := range h.pending {
		if revision <= head {
			delete(h.pending, revision)
		}
	}
	h.advance()
	h.wake()
}

// advance shows the pending changes that follow head without a gap. The caller holds mu.
func (h *history) advance() {
	before := h.head
	for {
		c, ok := h.pending[h.head+1]
		if !ok {
			break
		}
		delete(h.pending, c.revision)
		h.head = c.revision
		h.changes = append(h.changes, c)
		h.size += c.bytes()
	}
	for len(h.changes) > h.maxCommits || h.size > h.maxBytes {
		h.size -= h.changes[0].bytes()
		h.changes = h.changes[1:]
	}
	if h.head != before {
		h.wake()
	}
}

// wake rouses all watchers. The caller holds mu.
func (h *history) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// after returns the changes after revision and a channel that is closed when there are more.
func (h *history) after(revision int64) ([]change, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := h.head - int64(len(h.changes))
	if revision < oldest {
		return nil, nil, fmt.Errorf("%w: asked for what follows %d, oldest kept is %d",
			ErrCompacted, revision, oldest+1)
	}
	if revision >= h.head {
		return nil, h.changed, nil
	}
	n := len(h.changes)
	return h.changes[revision-oldest : n : n], h.changed, nil
}
