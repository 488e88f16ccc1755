package balance

// ledger holds each core's predicted load.
type ledger struct {
	packets []float64
	ring    []float64 // part of packets that comes from the NIC
	worth   []float64 // the whole work on the packets, of which packets is the part that is done here
	foreign []float64
	weight  []float64 // what the time that foreign lacks weighs
}

func newLedger(cores int) ledger {
	return ledger{packets: make([]float64, cores), ring: make([]float64, cores), worth: make([]float64, cores), foreign: make([]float64, cores), weight: make([]float64, cores)}
}

func (l *ledger) add(f *footprint) {
	l.ring[f.core[0]] += f.load[0]
	for i := range f.n {
		l.packets[f.core[i]] += f.load[i]
		l.worth[f.core[i]] += f.worth[i]
		l.foreign[f.core[i]] += f.foreign[i]
	}
}

func (l *ledger) remove(f *footprint) {
	l.ring[f.core[0]] -= f.load[0]
	for i := range f.n {
		l.packets[f.core[i]] -= f.load[i]
		l.worth[f.core[i]] -= f.worth[i]
		l.foreign[f.core[i]] -= f.foreign[i]
	}
}

func (l *ledger) total(core int16) float64 { return l.packets[core] + l.foreign[core] }

// siblingSlows is by what share an SMT sibling that is fully busy slows a core: two threads together do about 1.25 times the
// work of one, so each of them takes 1.6 times as long.
const siblingSlows = 0.6

// slowed says how much longer a core takes for its work while a sibling is busy for a share of the time.
func slowed(busy float64) float64 { return 1 + siblingSlows*min(max(busy, 0), 1) }

// slowing says how much longer a core takes for what its siblings do.
func (c *config) slowing(l *ledger, core int16) float64 {
	slow := 1.0
	for _, s := range c.machine.Cores[core].Sibling {
		slow *= slowed(l.total(int16(s)) * slowed(l.total(core)))
	}
	return slow
}

// slowed gives the parts of a core's load, with what its siblings take from it.
func (c *config) slowed(l *ledger, core int16) (packets, foreign float64) {
	slow := c.slowing(l, core)
	return l.packets[core] * slow, l.foreign[core] * slow
}

// effective is how full a core is, as those see it that wait for it longest.
func (c *config) effective(l *ledger, core int16) float64 {
	packets, foreign := c.slowed(l, core)
	return packets + foreign
}
