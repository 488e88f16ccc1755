package store

import (
	"context"
	"errors"
	"testing"
)

func TestHorizon(t *testing.T) {
	h := newHorizon(t.Context())
	for _, c := range []struct {
		before, revision int64
		replaced         bool
		newest           int64
	}{
		{0, 5, false, 5},
		{5, 5, false, 5},
		{5, 9, false, 9},
		{5, 7, false, 9}, // a slow reply to an early request
		{9, 3, true, 3},
		{9, 4, false, 3}, // the same replacement, seen by a request from before it
		{3, 6, false, 6},
	} {
		_, era := h.now()
		if got := h.observe(c.before, c.revision); got != c.replaced {
			t.Errorf("observe %d after %d: got %v", c.revision, c.before, got)
		}
		if ended := errors.Is(context.Cause(era), ErrCompacted); ended != c.replaced {
			t.Errorf("observe %d after %d: era ended with %v", c.revision, c.before, context.Cause(era))
		}
		if newest, _ := h.now(); newest != c.newest {
			t.Errorf("observe %d after %d: newest is %d, want %d", c.revision, c.before, newest, c.newest)
		}
	}
}
