package balance

// Pressure turns a core's load into a number to be made small, in cores. What the core has too much is lost, and counts as
// what is lost: the whole work on packets, done elsewhere or not, and more than its time for a process. Below that it is a
// power, because work waits for the fullest core of a pipeline: the sum of high powers is close to the maximum, but smooth, so
// that each flow can be moved by what it changes itself.
const (
	// What a full core weighs that loses nothing. It has to be less than a few percent of what a pipeline's core does, which
	// filling it may win.
	pressureFull = 1.0 / 12
	// Weight of the work itself. Where nothing waits, this is what keeps packets inline.
	pressureWork = 0.125
	// What the time that a process lacks weighs: more than packets, for it is not Falcon's to take.
	pressureForeign = 2.0
	mostForeign     = 6.0 // bound of it for a process that reads packets
)

func (c *config) pressure(l *ledger, core int16) float64 {
	packets, foreign := c.slowed(l, core)
	load := packets + foreign
	p := pressureFull*power(min(load, 1)) + pressureWork*packets
	if packets > 1 {
		p += l.worth[core] * (1 - 1/packets)
	}
	if load > 1 { // softirqs come first
		p += l.weight[core] * min(foreign, load-1)
	}
	return p
}

// power is the eighth: with less, a pipeline's second-fullest core still counts too much.
func power(load float64) float64 {
	load *= load
	load *= load
	return load * load
}

// strain is the pressure of the cores that a footprint concerns: its own and their siblings.
func (c *config) strain(l *ledger, f *footprint) float64 {
	var sum float64
	for i := range f.n {
		sum += c.pressure(l, f.core[i])
		for _, s := range c.machine.Cores[f.core[i]].Sibling {
			if !f.on(int16(s)) {
				sum += c.pressure(l, int16(s))
			}
		}
	}
	return sum
}

// adds is the pressure that a footprint adds to the loads of a ledger that is without it.
func (c *config) adds(l *ledger, f *footprint) float64 {
	before := c.strain(l, f)
	l.add(f)
	after := c.strain(l, f)
	l.remove(f)
	return after - before
}
