package balance

// Static places a bucket by its number alone, for the static mode. Of two allowed cores or more, the two stages get
// different ones, and not two siblings if that can be helped. The alternate is for packets that are on primary.VXLAN
// already, for which the primary would begin without a hop: its VXLAN core is another one, and it returns to
// the packet's core only if there is no third.
func Static(m Machine, bucket int) (primary, alternate Placement) {
	allowed := m.allowed()
	switch len(allowed) {
	case 0:
		return stay, stay
	case 1:
		only := Placement{VXLAN: allowed[0], Container: Inline}
		return only, only
	}
	v := allowed[below(mix(bucket, VXLAN, 0), len(allowed))]
	primary = Placement{v, m.pick(allowed, mix(bucket, Container, 0), v, v)}
	w := m.pick(allowed, mix(bucket, VXLAN, 1), v, v)
	alternate = Placement{w, m.pick(allowed, mix(bucket, Container, 1), w, v)}
	return primary, alternate
}

// pick takes a core other than before, on which the stage before runs: if there is such a core, one that is neither
// its sibling nor nic; else one that is not its sibling; else any.
func (m Machine) pick(allowed []int16, h uint64, before, nic int16) int16 {
	for tier := range 3 {
		n := 0
		for range 2 { // count, then take
			want := below(h, max(n, 1))
			counted := n > 0
			n = 0
			for _, c := range allowed {
				if c == before || tier < 2 && m.siblings(before, c) || tier < 1 && c == nic {
					continue
				}
				if counted && n == want {
					return c
				}
				n++
			}
			if n == 0 {
				break
			}
		}
	}
	return before // not reached with two allowed cores
}
