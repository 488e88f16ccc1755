package datapath

import (
	"time"

	"falcon/datapath/balance"
)

// forgetAfter is how long a bucket without packets keeps its number.
const forgetAfter = time.Second

// bucketNumbers gives buckets that have packets numbers by which the plan knows them: it knows balance.Buckets at a time.
type bucketNumbers struct {
	of    []int16 // by bucket, -1: it has none
	owner []int   // by number, -1: it is free
	full  bool    // there was none to be had in this turn
}

func newBucketNumbers(buckets int) bucketNumbers {
	n := bucketNumbers{of: make([]int16, buckets), owner: make([]int, balance.Buckets)}
	for i := range n.of {
		n.of[i] = -1
	}
	for i := range n.owner {
		n.owner[i] = -1
	}
	return n
}

// take gives a bucket a number, that of a bucket which idle tells to have been without packets if none is free. If there is none
// either, the bucket is not balanced and stays where it comes in.
func (n *bucketNumbers) take(bucket int, idle func(bucket int) bool) (int, bool) {
	if n.full {
		return 0, false
	}
	start := bucket % len(n.owner)
	for i := range n.owner {
		number := (start + i) % len(n.owner)
		was := n.owner[number]
		if was >= 0 && !idle(was) {
			continue
		}
		if was >= 0 {
			n.of[was] = -1
		}
		n.owner[number], n.of[bucket] = bucket, int16(number)
		return number, true
	}
	n.full = true
	return 0, false
}
