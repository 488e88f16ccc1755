package balance

import "time"

// workspace is memory that a decision writes before it reads: nothing of it survives.
type workspace struct {
	interval time.Duration
	core     []CoreLoad // what was measured, in its bounds
	model    []float64  // by core: packet work of the last interval, uncalibrated
	lack     []float64  // by core: how many times the packets from other cores there would be if none were dropped
	ring     []float64  // by core: packets per second that it has taken in from its NIC
	hidden   []float64  // by core: how many times more arrive there
	slope    []float64  // by core: foreign load that a delivered packet per second brings
	load     ledger     // predicted, with what has been decided so far
	flow     []candidate
	order    []rank // of flow, largest work first
	seen     [Buckets]bool
	cores    [mostCores]int16 // those that a search considers
}

// rank is a place in the order of flows. It holds what that depends on, for sorting the flows themselves is slow.
type rank struct {
	work   float64
	bucket int32
	flow   int32 // index in workspace.flow
}

// candidate is a flow of this tick: what it needs and where it is taken to be.
type candidate struct {
	bucket  int
	nic     int16
	rate    [Stages]float64
	since   time.Duration
	free    Freedom
	current Placement
	place   Placement // where it is planned to be
	seen    float64   // work on what arrives, as far as is known
	need    work      // with what may be hidden
	foot    footprint // of need at place
	pending bool      // the kernel is not there yet
}

func newWorkspace(cores int) *workspace {
	return &workspace{
		core:   make([]CoreLoad, cores),
		model:  make([]float64, cores),
		lack:   make([]float64, cores),
		ring:   make([]float64, cores),
		hidden: make([]float64, cores),
		slope:  make([]float64, cores),
		load:   newLedger(cores),
		flow:   make([]candidate, 0, Buckets),
		order:  make([]rank, 0, Buckets),
	}
}

// collect takes in a measurement, and of the flows those that make sense: known cores, known buckets, each once, with packets.
func (w *workspace) collect(c *config, in *Input) {
	w.interval = min(max(in.Interval, 0), longAgo)
	for i, load := range in.Cores {
		load.Busy, load.Softirq = within(load.Busy, 1), within(load.Softirq, 1)
		w.core[i] = load
	}
	w.flow = w.flow[:0]
	clear(w.seen[:])
	for i := range in.Flows {
		f := &in.Flows[i]
		if f.Bucket < 0 || f.Bucket >= Buckets || w.seen[f.Bucket] || !c.known(f.NIC) || !(f.Rate[NIC] > 0) {
			continue
		}
		w.seen[f.Bucket] = true
		current := stay
		if c.placeable(f.Current) {
			current = f.Current.plain(int16(f.NIC))
		}
		e := candidate{bucket: f.Bucket, nic: int16(f.NIC), current: current, since: f.Since, free: f.Free}
		for s, r := range f.Rate {
			e.rate[s] = within(r, mostRate)
		}
		w.flow = append(w.flow, e)
	}
}

// mostRate is more than any core's packets per second.
const mostRate = 1e9

// within is a measured value in its bounds. What is no number is nothing.
func within(x, most float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, most)
}

func (c *config) known(core int) bool { return core >= 0 && core < len(c.machine.Cores) }

func (c *config) placeable(p Placement) bool {
	return (p.VXLAN == Inline || c.known(int(p.VXLAN))) && (p.Container == Inline || c.known(int(p.Container)))
}
