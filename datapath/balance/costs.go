package balance

import (
	"fmt"
	"time"
)

// Costs says what an skb costs in CPU time. Only the proportions matter: the scale is calibrated against the softirq
// time that the machine reports.
type Costs struct {
	Stage [Stages]time.Duration
	Hop   time.Duration // to another core: enqueue, interrupt, cache misses; half on each of the two
}

// DefaultCosts were measured by the `stages` experiment of the benchmark (docs/bench), per skb.
var DefaultCosts = Costs{
	Stage: [Stages]time.Duration{NIC: 1360, VXLAN: 1270, Container: 1000},
	Hop:   300,
}

// Check reports a cost that cannot be.
func (c Costs) Check() error {
	for s, d := range c.Stage {
		if d <= 0 {
			return fmt.Errorf("check costs: stage %d costs %v, allowed is more than 0", s, d)
		}
	}
	if c.Hop < 0 {
		return fmt.Errorf("check costs: a hop costs %v, allowed is 0 or more", c.Hop)
	}
	return nil
}
