package balance

import (
	"cmp"
	"slices"
	"time"
)

// urgentDwell is how long a placement stays at least, even where packets are dropped: two ticks, so that the loads have been
// measured with it before it is judged.
const urgentDwell = 20 * time.Millisecond

// decide is the balancer as a function: from what was (old) and what is measured (in) to what will be remembered (next)
// and what is wanted (plan). It writes nothing but next, plan and the workspace.
func decide(c *config, old *state, in *Input, next *state, w *workspace, plan *Plan) {
	next.set(old)
	if len(in.Cores) != len(c.machine.Cores) { // the machine changed: a new Balancer is due
		publish(c, next, w, plan)
		return
	}
	w.collect(c, in)
	observe(c, next, in, w)
	age(c, next, in, w)
	predict(c, next, in, w)
	next.off = off(c, next, w)
	plan.Moves = 0
	switch {
	case len(c.allowed) == 0:
		plan.Reason = reasonAlone
	case next.off:
		plan.Reason = reasonFull
		plan.Moves = stop(c, next, w)
	default:
		spread := spread(c, next, in, w)
		returned := giveBack(c, next, in, w, c.set.Moves-spread)
		plan.Moves = spread + returned
		plan.Reason = reason(c, w, spread, returned)
	}
	publish(c, next, w, plan)
}

// age lets time pass for the buckets. One that has had no packets for a while is back inline: whatever comes next is as
// likely a mouse.
func age(c *config, s *state, in *Input, w *workspace) {
	for i := range s.bucket {
		b := &s.bucket[i]
		b.age = min(b.age+in.Interval, longAgo)
		b.resting = max(b.resting-in.Interval, 0)
		if w.seen[i] {
			b.quiet = 0
			continue
		}
		b.quiet = min(b.quiet+in.Interval, longAgo)
		b.rate = [Stages]float64{}
		if b.quiet > c.set.Calm {
			b.want = stay
		}
	}
}

// predict fills the ledger: foreign load, and the packets where they are planned to be. A plan that the kernel has not
// followed for long is not taken to come true.
func predict(c *config, s *state, in *Input, w *workspace) {
	clear(w.load.packets)
	clear(w.load.worth)
	clear(w.load.ring)
	copy(w.load.foreign, s.foreign)
	w.order = w.order[:0]
	for i := range w.flow {
		f := &w.flow[i]
		b := &s.bucket[f.bucket]
		for stage, r := range in.Flows[f.flow].Rate {
			if r > b.rate[stage]*jump {
				b.resting = 0
			}
			b.rate[stage] = smoothRate(b.rate[stage], r)
		}
		want := b.want.plain(f.nic)
		f.place = f.current
		f.pending = want != f.current && b.age < 2*c.set.Dwell
		if f.pending {
			f.place = want
		}
		f.need = demand(c, s, f, w)
		f.foot = c.footprint(&f.need, f.place)
		w.load.ring[f.nic] += f.foot.load[0]
		w.order = append(w.order, int32(i))
	}
	for i := range w.flow {
		f := &w.flow[i]
		c.limit(w, &f.foot, &f.need, 0)
		w.load.ring[f.nic] -= f.foot.load[0]
		w.load.add(&f.foot)
	}
	slices.SortFunc(w.order, func(a, b int32) int {
		x, y := &w.flow[a], &w.flow[b]
		return cmp.Or(cmp.Compare(y.need.total(), x.need.total()), cmp.Compare(x.bucket, y.bucket))
	})
}

// off says whether hops have nothing to win: not when the cores are busy, for a pipeline does well to keep all its
// cores busy, but when they would all be busy if nothing were hopped. Then each core has its own work, and a hop only adds
// to it.
func off(c *config, s *state, w *workspace) bool {
	if len(c.allowed) == 0 {
		return false
	}
	inline := w.model // no longer needed as what it was
	copy(inline, s.foreign)
	for i := range w.flow {
		inline[w.flow[i].nic] += w.flow[i].need.total()
	}
	least := 1.0
	for _, core := range c.allowed {
		least = min(least, inline[core])
	}
	if s.off {
		return least >= c.set.Low
	}
	return least > c.set.High
}

// stop wants everything inline.
func stop(c *config, s *state, w *workspace) int {
	moves := 0
	for i := range w.flow {
		f := &w.flow[i]
		if f.place != stay {
			move(c, s, w, f, stay)
			moves++
		}
	}
	for i := range s.bucket {
		s.bucket[i].want = stay
	}
	return moves
}

// spread moves flows that have a part on a core that is too full, largest first, each to where it causes the least
// pressure, if that saves enough.
func spread(c *config, s *state, in *Input, w *workspace) int {
	moves, tries := 0, 0
	for _, i := range w.order {
		f := &w.flow[i]
		if moves >= c.set.Moves || tries >= c.set.Tries {
			break
		}
		if !movable(c, s, in, w, f) || s.bucket[f.bucket].resting > 0 || !f.foot.has(func(core int16) bool {
			return c.effective(&w.load, core) > c.set.Spread
		}) {
			continue
		}
		tries++
		best, gain := search(c, w, f)
		if gain < c.set.DeadBand || best == f.place {
			s.bucket[f.bucket].resting = c.set.Dwell
			continue
		}
		move(c, s, w, f, best)
		moves++
	}
	return moves
}

// movable says whether a flow has been where it is for long enough.
func movable(c *config, s *state, in *Input, w *workspace, f *candidate) bool {
	held := min(s.bucket[f.bucket].age, in.Flows[f.flow].Since)
	if f.pending {
		return false
	}
	urgent := f.foot.has(func(core int16) bool { return in.Cores[core].Drops > 0 })
	return held >= c.set.Dwell || urgent && held >= urgentDwell
}

// giveBack takes hops away where everything would fit comfortably without them.
func giveBack(c *config, s *state, in *Input, w *workspace, most int) int {
	moves := 0
	for _, i := range w.order {
		f := &w.flow[i]
		if moves >= most {
			break
		}
		if f.place == stay || f.pending || min(s.bucket[f.bucket].age, in.Flows[f.flow].Since) < c.set.Calm {
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

func move(c *config, s *state, w *workspace, f *candidate, p Placement) {
	w.load.remove(&f.foot)
	f.foot = c.expected(w, &f.need, p)
	w.load.add(&f.foot)
	f.place = p
	b := &s.bucket[f.bucket]
	if b.want != p {
		b.want, b.age = p, 0
	}
}

func reason(c *config, w *workspace, spread, returned int) string {
	hops, pending := 0, 0
	for i := range w.flow {
		if w.flow[i].place != stay {
			hops++
		}
		if w.flow[i].pending {
			pending++
		}
	}
	switch {
	case spread > 0:
		return reasonSpread
	case returned > 0:
		return reasonReturn
	case pending > 0:
		return reasonWait
	case hops > 0:
		return reasonSteady
	default:
		return reasonRoom
	}
}

func publish(c *config, s *state, w *workspace, plan *Plan) {
	for i := range s.bucket {
		plan.Want[i] = s.bucket[i].want
	}
	plan.Off = s.off
	plan.Hops, plan.Pending = 0, 0
	for i := range w.flow {
		if w.flow[i].place != stay {
			plan.Hops++
		}
		if w.flow[i].pending {
			plan.Pending++
		}
	}
	for i := range plan.Load {
		plan.Load[i] = w.load.total(int16(i))
	}
}
