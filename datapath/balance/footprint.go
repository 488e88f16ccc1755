package balance

// Memory of another NUMA node. The packet's data lies on the NIC's node, so a stage on another one takes longer, and a hop
// that crosses nodes moves cache lines between sockets. Orders of magnitude: remote memory takes 1.5 to 2 times as long
// as local, and a stage spends a small part of its time on it.
const (
	remoteStage = 1.15
	remoteHop   = 2.0
)

// work is what a flow needs, in shares of a core: of each stage, and of a hop in front of it.
type work struct {
	nic    int16
	stage  [Stages]float64
	hop    [Stages]float64
	rate   float64 // packets per second that are to be delivered
	before float64 // and that are delivered now
}

func (w *work) total() float64 { return w.stage[NIC] + w.stage[VXLAN] + w.stage[Container] }

func (w *work) multiply(by float64) {
	for s := range w.stage {
		w.stage[s] *= by
		w.hop[s] *= by
	}
	w.rate *= by
}

// newWork is the work of a flow at the given rates. scale calibrates the costs.
func (c *config) newWork(nic int16, rate *[Stages]float64, scale float64) work {
	w := work{nic: nic, rate: rate[Container], before: rate[Container]}
	for s, r := range rate {
		w.stage[s] = r * c.stage[s] * scale
		w.hop[s] = r * c.hop * scale
	}
	return w
}

// footprint is the load that a placement puts on at most three cores.
type footprint struct {
	n       int
	core    [Stages]int16
	load    [Stages]float64
	worth   [Stages]float64 // whole work on the packets that come there
	foreign [Stages]float64 // what others will need more
}

func (f *footprint) add(core int16, load float64) {
	for i := range f.n {
		if f.core[i] == core {
			f.load[i] += load
			return
		}
	}
	f.core[f.n], f.load[f.n] = core, load
	f.n++
}

func (f *footprint) on(core int16) bool {
	for i := range f.n {
		if f.core[i] == core {
			return true
		}
	}
	return false
}

// has says whether one of the footprint's cores fulfils the condition.
func (f *footprint) has(condition func(core int16) bool) bool {
	for i := range f.n {
		if condition(f.core[i]) {
			return true
		}
	}
	return false
}

func (c *config) footprint(w *work, p Placement) footprint {
	var f footprint
	v, k := p.cores(w.nic)
	f.add(w.nic, w.stage[NIC])
	f.add(v, c.near(w.nic, v, w.stage[VXLAN]))
	f.add(k, c.near(w.nic, k, w.stage[Container]))
	c.addHop(&f, w.nic, v, w.hop[VXLAN])
	c.addHop(&f, v, k, w.hop[Container])
	for i := range f.n {
		f.worth[i] = w.total()
	}
	return f
}

// expected is the footprint of a placement with what follows from it: what is too much for the first core does not get any
// further, and who reads what is delivered needs time for it. The ledger is without the flow.
func (c *config) expected(w *workspace, need *work, p Placement) footprint {
	f := c.footprint(need, p)
	c.limit(w, &f, need, f.load[0]) // the first core in a footprint is the NIC's
	return f
}

// limit takes into account what else the first core receives; own is what of the flow is not in the ledger.
func (c *config) limit(w *workspace, f *footprint, need *work, own float64) {
	nic := f.core[0]
	passes := 1 / max(1, (w.load.ring[nic]+own)*c.slowing(&w.load, nic))
	more := max(0, need.rate*passes-need.before)
	for i := range f.n {
		if i > 0 {
			f.load[i] *= passes
			f.worth[i] *= passes
		}
		f.foreign[i] = min(more*w.slope[f.core[i]], w.load.foreign[f.core[i]]) // at most twice of what it is
	}
}

// near is a stage's load on a core, given where the packet's memory is.
func (c *config) near(nic, core int16, load float64) float64 {
	if c.node(nic) != c.node(core) {
		return load * remoteStage
	}
	return load
}

func (c *config) addHop(f *footprint, from, to int16, load float64) {
	if from == to {
		return
	}
	if c.node(from) != c.node(to) {
		load *= remoteHop
	}
	f.add(from, load/2)
	f.add(to, load/2)
}
