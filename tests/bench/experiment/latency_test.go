package experiment

import (
	"testing"
	"time"

	"falcon/tests/bench/load"
)

func TestThinnedKeepsTheTail(t *testing.T) {
	var h load.Histogram
	for i := range 100000 {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	whole := h.CDF()
	points := thinned(whole)
	if len(points) > 130 || len(points) < 50 {
		t.Errorf("%d points of %d", len(points), len(whole))
	}
	last := points[len(points)-1]
	if last.Fraction != 1 || last.Value != micros(whole[len(whole)-1].Value) {
		t.Errorf("the last point is %v", last)
	}
	tail := 0
	for i, p := range points {
		if i > 0 && (p.Value <= points[i-1].Value || p.Fraction <= points[i-1].Fraction) {
			t.Errorf("%v follows %v", p, points[i-1])
		}
		if p.Fraction > 0.99 {
			tail++
		}
	}
	if tail == 0 {
		t.Error("no tail")
	}
	if got := thinned(nil); len(got) != 0 {
		t.Errorf("%d points of nothing", len(got))
	}
}

func TestMessagesAreNamedBySize(t *testing.T) {
	for want, m := range map[string]message{"UDP 16 B": {load.UDP, 16}, "TCP 4 KB": {load.TCP, 4096}} {
		if m.String() != want {
			t.Errorf("got %s, want %s", m, want)
		}
	}
}
