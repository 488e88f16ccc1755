package balance

// workspace is memory that a decision writes before it reads: nothing of it survives.
type workspace struct {
	model []float64 // by core: packet work of the last interval, uncalibrated
	lack  []float64 // by core: how many times the packets from other cores there would be if none were dropped
	slope []float64 // by core: foreign load that a delivered packet per second brings
	load  ledger    // predicted, with what has been decided so far
	flow  []candidate
	order []int32 // indices into flow, largest work first
	seen  [Buckets]bool
	cores [mostCores]int16 // those that a search considers
}

// candidate is a flow of this tick: what it needs and where it is taken to be.
type candidate struct {
	flow    int // index in Input.Flows
	bucket  int
	nic     int16
	current Placement
	place   Placement // where it is planned to be
	need    work
	foot    footprint // of need at place
	pending bool      // the kernel is not there yet
}

func newWorkspace(cores int) *workspace {
	return &workspace{
		model: make([]float64, cores),
		lack:  make([]float64, cores),
		slope: make([]float64, cores),
		load:  newLedger(cores),
		flow:  make([]candidate, 0, Buckets),
		order: make([]int32, 0, Buckets),
	}
}

// collect takes the flows that make sense: known cores, known buckets, each once, with packets.
func (w *workspace) collect(c *config, in *Input) {
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
		w.flow = append(w.flow, candidate{flow: i, bucket: f.Bucket, nic: int16(f.NIC), current: current})
	}
}

func (c *config) known(core int) bool { return core >= 0 && core < len(c.machine.Cores) }

func (c *config) placeable(p Placement) bool {
	return (p.VXLAN == Inline || c.known(int(p.VXLAN))) && (p.Container == Inline || c.known(int(p.Container)))
}
