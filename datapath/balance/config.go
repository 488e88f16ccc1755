package balance

// config is what never changes while a Balancer lives: the machine, settings and costs in the units used inside
// (seconds, shares, indices).
type config struct {
	machine Machine
	allowed []int16
	set     Settings
	stage   [Stages]float64 // seconds per skb
	hop     float64         // seconds per skb, both cores together
}

func newConfig(m Machine, s Settings, c Costs) *config {
	cfg := &config{machine: m, allowed: m.allowed(), set: s, hop: c.Hop.Seconds()}
	for i, d := range c.Stage {
		cfg.stage[i] = d.Seconds()
	}
	return cfg
}

func (c *config) node(core int16) int { return c.machine.Cores[core].Node }
