package load

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestScheduleIsEven(t *testing.T) {
	slots, err := schedule([]Flow{{Weight: 4}, {}, {Weight: 2}})
	if err != nil {
		t.Fatal(err)
	}
	var order []uint32
	for _, s := range slots {
		order = append(order, s.Flow)
	}
	if want := []uint32{0, 2, 0, 1, 0, 2, 0}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

func TestScheduleGivesEachFlowItsTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Uint32Range(1, 20), 1, 20).Draw(t, "weights")
		var flows []Flow
		for _, w := range weights {
			flows = append(flows, Flow{Weight: w})
		}
		slots, err := schedule(flows)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.Uint64Range(0, 1000).Draw(t, "turns")
		want, rank := make([]uint64, len(flows)), make([]uint32, len(flows))
		for i := range n {
			s := slots[i%uint64(len(slots))]
			if s.Rank != rank[s.Flow] || s.Weight != weights[s.Flow] {
				t.Fatalf("slot %d: %+v, want rank %d of %d", i, s, rank[s.Flow], weights[s.Flow])
			}
			rank[s.Flow] = (rank[s.Flow] + 1) % s.Weight
			want[s.Flow]++
		}
		if got := turns(slots, len(flows), n); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestScheduleHasAnEnd(t *testing.T) {
	if _, err := schedule([]Flow{{Weight: greatestSlots}, {}}); err == nil {
		t.Error("it is too long")
	}
}
