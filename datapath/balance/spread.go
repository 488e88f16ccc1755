package balance

import "time"

// spread moves flows that have a part on a core that is too full, largest first, each to where it causes the least
// pressure, if that saves enough.
func spread(c *config, s *state, w *workspace) int {
	moves, tries := 0, 0
	rest := max(c.set.Dwell, w.interval*time.Duration(len(w.flow)/c.set.Tries+1)) // until all others have been examined
	for i := range w.order {
		f := &w.flow[w.order[i].flow]
		if moves >= c.set.Moves || tries >= c.set.Tries {
			break
		}
		if !movable(c, s, w, f) || s.bucket[f.bucket].resting > 0 || !f.foot.has(func(core int16) bool {
			return c.effective(&w.load, core) > c.set.Spread
		}) {
			continue
		}
		tries++
		best, gain := search(c, w, f)
		if gain < c.set.DeadBand || best == f.place {
			s.bucket[f.bucket].resting = rest
			continue
		}
		move(c, s, w, f, best)
		moves++
	}
	return moves
}

// movable says whether a flow has been where it is for long enough. Where packets are dropped, two fifths of it are enough: two
// ticks at first, so that the loads have been measured with it before it is judged.
func movable(c *config, s *state, w *workspace, f *candidate) bool {
	if f.free == Bound {
		return false
	}
	b := &s.bucket[f.bucket]
	hold := max(b.hold, c.set.Dwell)
	if f.foot.has(func(core int16) bool { return w.core[core].Drops > 0 }) {
		hold = hold * 2 / 5
	}
	return !f.pending && min(b.age, f.since) >= hold
}
