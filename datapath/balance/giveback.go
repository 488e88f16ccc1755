package balance

// giveBack takes hops away where everything would fit comfortably without them.
func giveBack(c *config, s *state, w *workspace, most int) int {
	moves := 0
	for i := range w.order {
		f := &w.flow[w.order[i].flow]
		if moves >= most {
			break
		}
		if f.place == stay || f.pending || min(s.bucket[f.bucket].age, f.since) < max(s.bucket[f.bucket].hold, c.set.Calm) {
			continue
		}
		if less, ok := fewerHops(c, w, f); ok {
			move(c, s, w, f, less)
			moves++
		}
	}
	return moves
}

// fewerHops finds a placement with fewer hops under which all its cores stay below Return.
func fewerHops(c *config, w *workspace, f *candidate) (Placement, bool) {
	w.load.remove(&f.foot)
	defer w.load.add(&f.foot)
	for _, p := range [...]Placement{stay, {f.place.VXLAN, Inline}, {Inline, f.place.Container}} {
		p = p.plain(f.nic)
		if p.hops(f.nic) >= f.place.hops(f.nic) {
			continue
		}
		foot := c.expected(w, &f.need, p)
		w.load.add(&foot)
		tight := foot.has(func(core int16) bool { return c.effective(&w.load, core) > c.set.Return })
		w.load.remove(&foot)
		if !tight {
			return p, true
		}
	}
	return stay, false
}
