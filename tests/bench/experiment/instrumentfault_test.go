package experiment

import (
	"testing"

	"falcon/tests/bench/load"
)

// numbers are those that packets carry, written down from what load.Faults promises.
func numbers(f load.Faults, packets int) []int {
	var all []int
	for n := 0; len(all) < packets; n++ {
		switch {
		case f.Drop > 0 && n%int(f.Drop) == int(f.Drop)-1:
		case f.Swap > 0 && n%int(f.Swap) == int(f.Swap)-2:
			all = append(all, n+1, n)
			n++
		case f.Duplicate > 0 && n%int(f.Duplicate) == int(f.Duplicate)-1:
			all = append(all, n, n)
		default:
			all = append(all, n)
		}
	}
	return all[:packets]
}

// counted is what a receiver of these numbers has to count.
func counted(all []int) (c load.FlowCounts) {
	seen, highest := map[int]bool{}, -1
	for _, n := range all {
		switch {
		case seen[n]:
			c.Duplicates++
			continue
		case n < highest:
			c.Reordered++
			c.Extent = max(c.Extent, uint64(highest-n))
		}
		seen[n], highest = true, max(highest, n)
		c.Received++
	}
	c.Lost = uint64(highest + 1 - len(seen))
	return c
}

func TestExpectationsFollowFromTheFaults(t *testing.T) {
	for _, f := range faults() {
		for _, packets := range []int{faultPackets, faultPackets - 1, 2 * faultPeriod, 2*faultPeriod + 1, 2*faultPeriod + 2} {
			want := counted(numbers(f.inject, packets))
			if f.inject.Swap > 0 && packets%faultPeriod == faultPeriod-1 {
				continue // cut between the two that are swapped
			}
			if got := f.expect(uint64(packets)); got != want {
				t.Errorf("%s in %d packets: expects %+v, not %+v", f.name, packets, got, want)
			}
		}
	}
}

func TestFaultsShow(t *testing.T) {
	for _, f := range faults() {
		if n := f.of(f.expect(faultPackets)); n < faultPackets/(faultPeriod+1)-1 {
			t.Errorf("%s: %d in %d packets", f.name, n, faultPackets)
		}
	}
}
