package balance

// Inline means no hop: the stage runs where the one before it ran.
const Inline = -1

// Placement says where the two stages run that can be placed: a core's index, or Inline.
type Placement struct{ VXLAN, Container int16 }

// stay is the placement without a hop.
var stay = Placement{Inline, Inline}

// cores resolves Inline for a flow whose first stage runs on nic.
func (p Placement) cores(nic int16) (vxlan, container int16) {
	vxlan, container = p.VXLAN, p.Container
	if vxlan == Inline {
		vxlan = nic
	}
	if container == Inline {
		container = vxlan
	}
	return vxlan, container
}

// plain writes a hop to the core that the packet is on as what it is, Inline.
func (p Placement) plain(nic int16) Placement {
	vxlan, container := p.cores(nic)
	if container == vxlan {
		p.Container = Inline
	}
	if vxlan == nic {
		p.VXLAN = Inline
	}
	return p
}

// hops counts the changes of core.
func (p Placement) hops(nic int16) int {
	n := 0
	v, k := p.cores(nic)
	if v != nic {
		n++
	}
	if k != v {
		n++
	}
	return n
}
