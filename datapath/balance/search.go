package balance

// mostCores is how many cores one search considers: all, or where there are more, two by hash for each stage (the power of
// two choices), the two emptiest, and the two where the flow is.
const mostCores = 8

// remoteBias makes an emptier core of another node no candidate unless it is emptier by this: remote memory
// slows a stage by about as much.
const remoteBias = remoteStage - 1

// search finds the placement that adds the least pressure, and how much it saves by the flow's work.
func search(c *config, w *workspace, f *candidate) (best Placement, gain float64) {
	w.load.remove(&f.foot)
	defer w.load.add(&f.foot)
	present := c.expected(w, &f.need, f.place)
	now := c.adds(&w.load, &present)
	least := now
	best = f.place
	try := func(p Placement) {
		foot := c.expected(w, &f.need, p)
		if adds := c.adds(&w.load, &foot); adds < least {
			best, least = p.plain(f.nic), adds
		}
	}
	cores := choices(c, w, f)
	try(stay)
	for _, v := range cores {
		if f.free == Free {
			try(Placement{v, Inline})
		}
		if v != f.nic {
			try(Placement{Inline, v})
		}
		for _, k := range cores {
			if f.free == Free && v != f.nic && v != k {
				try(Placement{v, k})
			}
		}
	}
	return best, (now - least) / f.need.total()
}

// choices lists the cores that a search considers.
func choices(c *config, w *workspace, f *candidate) []int16 {
	if len(c.allowed) <= mostCores {
		return c.allowed
	}
	list := w.cores[:0]
	for _, core := range [...]int16{f.place.VXLAN, f.place.Container} {
		if core != Inline && c.machine.Cores[core].Allowed {
			list = append(list, core)
		}
	}
	for choice := range 2 {
		for stage := VXLAN; stage <= Container; stage++ {
			list = include(list, c.allowed[below(mix(f.bucket, stage, choice), len(c.allowed))])
		}
	}
	first, second := emptiest(c, w, f.nic)
	return include(include(list, first), second)
}

func include(list []int16, core int16) []int16 {
	for _, l := range list {
		if l == core {
			return list
		}
	}
	return append(list, core)
}

// emptiest finds the two allowed cores with the least load, seen from the flow's node.
func emptiest(c *config, w *workspace, nic int16) (first, second int16) {
	first, second = c.allowed[0], c.allowed[0]
	leastFirst, leastSecond := 1e9, 1e9
	for _, core := range c.allowed {
		load := c.effective(&w.load, core)
		if load < leastSecond {
			for _, s := range c.machine.Cores[core].Sibling {
				load = max(load, siblingSlows*min(w.load.total(int16(s)), 1)) // an idle thread of a busy core is not idle
			}
			if c.node(nic) != c.node(core) {
				load += remoteBias
			}
		}
		switch {
		case load < leastFirst:
			second, leastSecond = first, leastFirst
			first, leastFirst = core, load
		case load < leastSecond:
			second, leastSecond = core, load
		}
	}
	return first, second
}
