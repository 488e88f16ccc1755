package load

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCounterTellsWhatHappened(t *testing.T) {
	for name, c := range map[string]struct {
		numbers []uint64
		want    FlowCounts
	}{
		"in order":                {[]uint64{0, 1, 2, 3}, FlowCounts{Received: 4}},
		"the first is lost":       {[]uint64{1, 2}, FlowCounts{Received: 2, Lost: 1}},
		"a gap":                   {[]uint64{0, 1, 5}, FlowCounts{Received: 3, Lost: 3}},
		"neighbours swapped":      {[]uint64{0, 2, 1, 3}, FlowCounts{Received: 4, Reordered: 1, Extent: 1}},
		"one very late":           {[]uint64{0, 2, 3, 4, 1}, FlowCounts{Received: 5, Reordered: 1, Extent: 3}},
		"backwards":               {[]uint64{3, 2, 1, 0}, FlowCounts{Received: 4, Reordered: 3, Extent: 3}},
		"doubled":                 {[]uint64{0, 1, 1, 2}, FlowCounts{Received: 3, Duplicates: 1}},
		"a late one doubled":      {[]uint64{0, 2, 1, 1}, FlowCounts{Received: 3, Reordered: 1, Extent: 1, Duplicates: 1}},
		"later than the history":  {[]uint64{0, 1 + historyBits, 1}, FlowCounts{Received: 3, Lost: historyBits - 1, Reordered: 1, Extent: historyBits, Ambiguous: 1}},
		"after a jump":            {[]uint64{0, 3 * historyBits, 3*historyBits - 1, 3 * historyBits}, FlowCounts{Received: 3, Lost: 3*historyBits - 2, Reordered: 1, Extent: 1, Duplicates: 1}},
		"the history comes round": {[]uint64{0, historyBits, historyBits + 1, 2}, FlowCounts{Received: 4, Lost: historyBits - 2, Reordered: 1, Extent: historyBits - 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got counter
			for _, n := range c.numbers {
				got.add(n, 10)
			}
			c.want.Bytes = c.want.Received * 10
			if got.FlowCounts != c.want {
				t.Errorf("got  %+v\nwant %+v", got.FlowCounts, c.want)
			}
		})
	}
}

// Whatever the order, the counter says what one says who remembers everything.
func TestCounterAgreesWithAFullMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Uint64Range(0, 300), 1, 400).Draw(t, "numbers")
		var got counter
		var want FlowCounts
		var net int64
		seen, next := map[uint64]bool{}, uint64(0)
		for _, n := range numbers {
			what, lost := got.add(n, 1)
			net += lost
			switch {
			case seen[n]:
				want.Duplicates++
				if what != duplicate {
					t.Fatalf("%d is a duplicate, got %d", n, what)
				}
				continue
			case n < next:
				want.Reordered++
				want.Extent = max(want.Extent, next-1-n)
			default:
				next = n + 1
			}
			seen[n] = true
			want.Received++
			want.Bytes++
		}
		want.Lost = next - want.Received
		if got.FlowCounts != want || net != int64(want.Lost) {
			t.Fatalf("got  %+v, net loss %d\nwant %+v", got.FlowCounts, net, want)
		}
	})
}
