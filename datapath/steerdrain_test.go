package datapath

import (
	"testing"
	"time"
)

// Packets are under way as long as a flow that was not silent has either stage on another core than its NIC's.
func TestSteerUnderWay(t *testing.T) {
	b := newSteerBench(t, 3)
	first, _ := b.bucketsOf(b.cpu)
	bucket := first + 3
	for name, c := range map[string]struct {
		vxlan, container uint32
		ago              time.Duration
		want             bool
	}{
		"nothing elsewhere":        {slotInline, slotInline, 0, false},
		"container stage here":     {slotInline, slotHere, 0, false},
		"container stage slotless": {slotInline, slotNone, 0, false},
		"VXLAN stage":              {slotOther, slotInline, 0, true},
		"container stage":          {slotInline, slotOther, 0, true},
		"both":                     {slotOther, slotThird, 0, true},
		"both, silent":             {slotOther, slotThird, 2 * quietAfter, false},
		"seen by a clock ahead":    {slotOther, slotInline, -quietAfter / 10, true},
	} {
		b.wipe()
		b.flows.values[bucket] = steerFlow{Vxlan: c.vxlan, Last: monotonic() - uint64(c.ago)}
		b.passages.values[bucket] = steerPassage{Container: c.container, Relay: slotInline}
		if got := b.underWay(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
