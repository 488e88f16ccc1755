package balance

import "time"

// CoreLoad is what a core did in the last interval.
type CoreLoad struct {
	Busy    float64 // share 0..1 of the time; idle and iowait are not busy, softirq is
	Softirq float64 // share 0..1
	Backlog int     // packets queued now
	Drops   uint64  // packets that the backlog had no room for, in the interval
}

// Flow is what one bucket's packets did in the last interval. A bucket occurs at most once; where its packets come in
// on several cores, NIC is the one that most come in on.
type Flow struct {
	Bucket  int
	NIC     int             // core of the first stage
	Rate    [Stages]float64 // skbs per second that each stage processed
	Current Placement       // what the kernel does now, which may lag behind what was wanted
	Since   time.Duration   // how long Current holds
	Free    Freedom
}

// Freedom is which stages of a flow can be placed.
type Freedom uint8

const (
	Free          Freedom = iota // both
	FreeContainer                // there is no VXLAN stage
	Bound                        // none
)

// Input is one tick's measurement. Buckets without packets need not be listed.
type Input struct {
	Interval time.Duration
	Cores    []CoreLoad // by index in Machine.Cores
	Flows    []Flow
}
