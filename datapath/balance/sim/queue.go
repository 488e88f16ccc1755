package sim

import "slices"

// parcel is some packets of a flow, waiting for a stage.
type parcel struct {
	flow, stage int
	packets     float64
}

// queue is a bounded FIFO of parcels.
type queue struct {
	parcels []parcel
	head    int
	packets float64
}

func (q *queue) push(p parcel) {
	if q.head > 64 && q.head*2 > len(q.parcels) {
		q.parcels = q.parcels[:copy(q.parcels, q.parcels[q.head:])]
		q.head = 0
	}
	if n := len(q.parcels); n > q.head && q.parcels[n-1].flow == p.flow && q.parcels[n-1].stage == p.stage {
		q.parcels[n-1].packets += p.packets
	} else {
		q.parcels = append(q.parcels, p)
	}
	q.packets += p.packets
}

func (q *queue) empty() bool { return q.head == len(q.parcels) }

// pushFront puts a parcel before all others.
func (q *queue) pushFront(p parcel) {
	q.parcels = slices.Insert(q.parcels, q.head, p)
	q.packets += p.packets
}

// take removes a flow's packets of a stage, and tells how many there were.
func (q *queue) take(flow, stage int) float64 {
	taken, kept := 0.0, q.parcels[:q.head]
	for _, p := range q.parcels[q.head:] {
		if p.flow == flow && p.stage == stage {
			taken += p.packets
		} else {
			kept = append(kept, p)
		}
	}
	q.parcels = kept
	q.packets -= taken
	return taken
}
