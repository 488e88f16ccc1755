package load

import "fmt"

// schedule is the order in which flows take turns: each as often as its weight, as evenly as can be. It is the smooth
// weighted round robin of nginx: each turn all flows earn their weight, the richest has the turn and pays what all
// earned.
func schedule(flows []Flow) ([]genSlot, error) {
	weights, total := make([]int, len(flows)), 0
	for i, f := range flows {
		weights[i] = int(max(1, f.Weight))
		total += weights[i]
	}
	if total > greatestSlots {
		return nil, fmt.Errorf("weights of all flows are %d: must be at most %d", total, greatestSlots)
	}
	slots := make([]genSlot, 0, total)
	rank, credit := make([]uint32, len(flows)), make([]int, len(flows))
	for range total {
		richest := 0
		for i := range flows {
			credit[i] += weights[i]
			if credit[i] > credit[richest] {
				richest = i
			}
		}
		credit[richest] -= total
		slots = append(slots, genSlot{Flow: uint32(richest), Rank: rank[richest], Weight: uint32(weights[richest])})
		rank[richest]++
	}
	return slots, nil
}

// turns counts the turns of each flow among the first n.
func turns(slots []genSlot, flows int, n uint64) []uint64 {
	all := make([]uint64, flows)
	rounds, rest := n/uint64(len(slots)), n%uint64(len(slots))
	for i, s := range slots {
		all[s.Flow] += rounds
		if uint64(i) < rest {
			all[s.Flow]++
		}
	}
	return all
}
