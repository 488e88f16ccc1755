package balance

// Pressure turns loads into one number to be made small. It is a power, because work waits for the fullest core of a
// pipeline: the sum of high powers is close to the maximum, but smooth, so that each flow can be moved by what it
// changes itself. Beyond overload it goes on as a line: how much demand exceeds a core is a guess, and
// moving work between two cores that are both too small for it wins nothing.
const (
	pressureEnd = 1.5 // load at which the line begins
	// Weight of the work itself. Where nothing waits, this is what keeps packets inline.
	pressureWork = 1.0
)

func pressure(load float64) float64 {
	if load > pressureEnd {
		return power(pressureEnd) + 8*power(pressureEnd)/pressureEnd*(load-pressureEnd) + pressureWork*load
	}
	return power(load) + pressureWork*load
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
		sum += pressure(c.effective(l, f.core[i]))
		for _, s := range c.machine.Cores[f.core[i]].Sibling {
			if !f.on(int16(s)) {
				sum += pressure(c.effective(l, int16(s)))
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
