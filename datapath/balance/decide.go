package balance

import "time"

const (
	restless    = 4 // a bucket that is moved again within this many of its times is restless
	longestHold = 5 * time.Second
)

// decide is the balancer as a function: from what was (old) and what is measured (in) to what will be remembered (next)
// and what is wanted (plan). It writes nothing but next, plan and the workspace.
func decide(c *config, old *state, in *Input, next *state, w *workspace, plan *Plan) {
	next.set(old)
	plan.Moves = 0
	if len(in.Cores) != len(c.machine.Cores) { // the machine changed: a new Balancer is due
		publish(next, w, plan)
		return
	}
	w.collect(c, in)
	observe(c, next, w)
	age(c, next, w)
	predict(c, next, w)
	next.off = off(c, next, w)
	switch {
	case len(c.allowed) == 0:
		plan.Reason = reasonAlone
	case next.off:
		plan.Reason = reasonFull
		plan.Moves = stop(c, next, w)
	default:
		spread := spread(c, next, w)
		returned := giveBack(c, next, w, c.set.Moves-spread)
		plan.Moves = spread + returned
		plan.Reason = reason(w, spread, returned)
	}
	publish(next, w, plan)
}

// move wants a flow elsewhere, and accounts for it.
func move(c *config, s *state, w *workspace, f *candidate, p Placement) {
	w.load.remove(&f.foot)
	f.foot = c.expected(w, &f.need, p)
	w.load.add(&f.foot)
	f.place = p
	b := &s.bucket[f.bucket]
	if b.want != p {
		b.hold = held(c, b)
		b.want, b.age = p, 0
	}
}

// held is for how long a bucket that is moved now has to stay: the dwell time at first, and longer each time when it does not
// come to rest.
func held(c *config, b *bucket) time.Duration {
	if b.age > restless*b.hold {
		return c.set.Dwell
	}
	return min(max(2*b.hold, c.set.Dwell), longestHold)
}

func reason(w *workspace, spread, returned int) string {
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

func publish(s *state, w *workspace, plan *Plan) {
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
