package store

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func TestHistoryShowsInOrder(t *testing.T) {
	h := newHistory(10, 100, 1<<20)
	for _, i := range rand.Perm(20) {
		h.add(change{revision: int64(11 + i)})
		changes, _, err := h.after(10)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range changes {
			if c.revision != int64(11+i) {
				t.Fatalf("a gap: got %d at %d", c.revision, i)
			}
		}
	}
	if changes, _, _ := h.after(10); len(changes) != 20 || len(h.pending) != 0 {
		t.Errorf("got %d changes, %d are pending", len(changes), len(h.pending))
	}
	if changes, _, _ := h.after(25); len(changes) != 5 || changes[0].revision != 26 {
		t.Errorf("got %v after 25", changes)
	}
}

func TestHistoryWakes(t *testing.T) {
	h := newHistory(0, 100, 1<<20)
	_, more, _ := h.after(0)
	h.add(change{revision: 2})
	select {
	case <-more:
		t.Error("woken by what is pending")
	default:
	}
	h.add(change{revision: 1})
	<-more
	if changes, _, _ := h.after(0); len(changes) != 2 {
		t.Errorf("got %v", changes)
	}
}

func TestHistoryForgets(t *testing.T) {
	big := []Event{{Record: Record{Key: "k", Value: make([]byte, 99)}}}
	for name, h := range map[string]*history{
		"commits": newHistory(0, 4, 1<<20),
		"bytes":   newHistory(0, 1<<20, 4*100),
	} {
		for revision := range int64(10) {
			h.add(change{revision: revision + 1, events: big})
		}
		if _, _, err := h.after(5); !errors.Is(err, ErrCompacted) {
			t.Errorf("%s: after 5: %v", name, err)
		}
		changes, _, err := h.after(6)
		if err != nil || len(changes) != 4 || changes[0].revision != 7 {
			t.Errorf("%s: after 6: %v, %v", name, changes, err)
		}
	}
}

func TestHistoryReset(t *testing.T) {
	h := newHistory(0, 100, 1<<20)
	h.add(change{revision: 1})
	h.add(change{revision: 3}) // 2 failed while it was written, and may be there
	_, more, _ := h.after(1)
	h.reset(2)
	<-more
	if _, _, err := h.after(1); !errors.Is(err, ErrCompacted) {
		t.Errorf("after 1: %v", err)
	}
	if changes, _, err := h.after(2); err != nil || len(changes) != 1 || changes[0].revision != 3 {
		t.Errorf("after 2: %v, %v", changes, err)
	}
	h.add(change{revision: 2}) // too late
	h.reset(1)
	if changes, _, err := h.after(2); err != nil || len(changes) != 1 {
		t.Errorf("after 2: %v, %v", changes, err)
	}
}
