package balance

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
		inline[w.flow[i].nic] += w.flow[i].seen
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
