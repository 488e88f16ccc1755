package balance

import "time"

// urgentDwell is how long a placement stays at least, even where packets are dropped: two ticks, so that the loads have been
// measured with it before it is judged.
const urgentDwell = 20 * time.Millisecond

// spread moves flows that have a part on a core that is too full, largest first, each to where it causes the least
// pressure, if that saves enough.
func spread(c *config, s *state, w *workspace) int {
	moves, tries := 0, 0
	for _, i := range w.order {
		f := &w.flow[i]
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
			s.bucket[f.bucket].resting = c.set.Dwell
			continue
		}
		move(c, s, w, f, best)
		moves++
	}
	return moves
}

// movable says whether a flow has been where it is for long enough.
func movable(c *config, s *state, w *workspace, f *candidate) bool {
	held := min(s.bucket[f.bucket].age, f.since)
	if f.pending {
		return false
	}
	urgent := f.foot.has(func(core int16) bool { return w.core[core].Drops > 0 })
	return held >= c.set.Dwell || urgent && held >= urgentDwell
}
