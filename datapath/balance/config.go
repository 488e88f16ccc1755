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

// permits says whether packets may be sent to where a placement sends them.
func (c *config) permits(p Placement) bool {
	for _, core := range [...]int16{p.VXLAN, p.Container} {
		if core != Inline && (!c.known(int(core)) || !c.machine.Cores[core].Allowed) {
			return false
		}
	}
	return true
}
