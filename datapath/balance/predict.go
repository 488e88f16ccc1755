package balance

import "slices"

// age lets time pass for the buckets. One that has had no packets for a while is back inline: whatever comes next is as
// likely a mouse.
func age(c *config, s *state, w *workspace) {
	for i := range s.bucket {
		b := &s.bucket[i]
		b.age = min(b.age+w.interval, longAgo)
		b.resting = max(b.resting-w.interval, 0)
		if w.seen[i] {
			b.quiet = 0
			continue
		}
		b.quiet = min(b.quiet+w.interval, longAgo)
		b.rate = [Stages]float64{}
		if b.quiet > c.set.Calm {
			b.want, b.hold = stay, 0
		}
	}
}

// predict fills the ledger: foreign load, and the packets where they are planned to be. A plan that the kernel has not
// followed for long is not taken to come true.
func predict(c *config, s *state, w *workspace) {
	clear(w.load.packets)
	clear(w.load.worth)
	clear(w.load.ring)
	copy(w.load.foreign, s.foreign)
	w.order = w.order[:0]
	for i := range w.flow {
		f := &w.flow[i]
		b := &s.bucket[f.bucket]
		for stage, r := range f.rate {
			if r > b.rate[stage]*jump {
				b.resting, b.hold = 0, 0
			}
			b.rate[stage] = smoothRate(b.rate[stage], r)
		}
		want := b.want.plain(f.nic)
		f.place = f.current
		f.pending = want != f.current && b.age < 2*c.set.Dwell
		if f.pending {
			f.place = want
		}
		demand(c, s, f, w)
		f.foot = c.footprint(&f.need, f.place)
		w.load.ring[f.nic] += f.foot.load[0]
		w.order = append(w.order, rank{f.need.total(), int32(f.bucket), int32(i)})
	}
	for i := range w.flow {
		f := &w.flow[i]
		c.limit(w, &f.foot, &f.need, 0)
		w.load.ring[f.nic] -= f.foot.load[0]
		w.load.add(&f.foot)
	}
	slices.SortFunc(w.order, func(x, y rank) int {
		switch {
		case x.work > y.work:
			return -1
		case x.work < y.work:
			return 1
		default:
			return int(x.bucket - y.bucket)
		}
	})
}
