package balance

import "time"

// How measurements are smoothed. One tick is 10 ms, and a hotspot has to be dealt with within ten of them.
const (
	smoothUp    = 0.5  // share of a new, higher value: two ticks
	smoothDown  = 0.2  // of a lower one: five ticks
	smoothScale = 0.1  // of the calibration, which is a property of the machine
	starved     = 0.98 // what is left per tick of the foreign load believed in while a core is full: it may be starving
	// A process that is new on a full core has what packets leave to it, and may need more. What is less is the error of
	// measurement.
	hiddenForeign = 2.0
	leastForeign  = 0.05
	jump          = 1.5  // a rate that grows by this much is believed at once
	leastModel    = 0.05 // cores' worth of packet work below which calibration would fit noise
	mostScale     = 4    // bound of the calibration, and its inverse
)

// When work is waiting that the rates do not show.
const (
	fullBusy    = 0.96 // a core with less idle time has none: the rest is the clock's resolution
	fullSoftirq = 0.85 // and this much of it is packets
	longBacklog = 300  // packets; a third of the kernel's default limit
	// The rate that a full core shows is what it manages, not what arrives. What arrives is taken to be twice that: enough to
	// make room for a pipeline of three, each of whose stages takes about a third. If less arrives, it shows as
	// soon as there is room.
	hiddenDemand   = 2.0
	worthBelieving = 1.1 // a rate that exceeds the one that was known by less than this may be the same
	mostLack       = 4.0 // bound of what a stage is taken to lack when its core drops
)

// observe takes a measurement into the state: what the packets cost on this machine, what else runs on the cores, who is
// short of CPU.
func observe(c *config, s *state, w *workspace) {
	modelled(c, w)
	lack(w)
	calibrate(c, s, w)
	var delivered float64
	clear(w.ring)
	for i := range w.flow {
		delivered += w.flow[i].rate[Container]
		w.ring[w.flow[i].nic] += w.flow[i].rate[NIC]
	}
	for i := range s.foreign {
		load, e := &w.core[i], &s.elastic[i]
		slow := c.slow(w, i)
		foreign := max(0, load.Busy/slow-w.model[i]*s.scale)
		w.hidden[i] = s.withheld(i, load.full(), w.ring[i])
		if load.Busy < fullBusy {
			e.learn(delivered, foreign)
		} else if min(foreign, load.Busy-load.Softirq) > leastForeign {
			if foreign > s.foreign[i]*worthBelieving {
				s.foreign[i] = min(1, foreign*hiddenForeign)
			}
			foreign = max(foreign, min(1, e.at(delivered)))
		}
		s.foreign[i] = smoothForeign(s.foreign[i], foreign, load.Busy)
		w.slope[i] = e.slope()
		w.load.weight[i] = c.weigh(w.slope[i]*delivered, s.foreign[i], delivered)
	}
}

// withheld finds how many times more packets arrive at a NIC than its core takes in. While the core has room it takes in all,
// and as much is taken to arrive when it is full, too. If it takes in more by then, it is not known how much there is.
func (s *state) withheld(i int, full bool, rate float64) float64 {
	switch known := s.arrives[i]; {
	case !full:
		s.arrives[i] = rate
		return 1
	case rate > known*worthBelieving:
		s.arrives[i] = 0
		return hiddenDemand
	default:
		return min(known/max(rate, 1), hiddenDemand)
	}
}

func (l *CoreLoad) full() bool {
	return l.Drops > 0 || l.Backlog >= longBacklog || l.Busy >= fullBusy && l.Softirq >= fullSoftirq
}

// weigh finds what the time weighs that foreign load may lack. The part of it that reads packets takes the work on them with it.
func (c *config) weigh(reading, foreign, delivered float64) float64 {
	if reading <= 0 || foreign <= 0 {
		return pressureForeign
	}
	part := min(1, reading/foreign)
	lost := 1 + delivered*(c.stage[NIC]+c.stage[VXLAN]+c.stage[Container])/reading
	return min(max(pressureForeign, part*lost), mostForeign)
}

func smoothForeign(old, measured, busy float64) float64 {
	switch {
	case old < 0: // the first measurement
		return measured
	case measured > old:
		return old + smoothUp*(measured-old)
	case busy >= fullBusy:
		return max(measured, old*starved)
	default:
		return old + smoothDown*(measured-old)
	}
}

// modelled fills in what the packets should have cost each core where they were processed, uncalibrated.
func modelled(c *config, w *workspace) {
	clear(w.model)
	for i := range w.flow {
		f := &w.flow[i]
		need := c.newWork(f.nic, &f.rate, 1)
		foot := c.footprint(&need, f.current)
		for j := range foot.n {
			w.model[foot.core[j]] += foot.load[j]
		}
	}
}

// lack finds how many times more packets would be there where a backlog drops some of those that other cores send.
func lack(w *workspace) {
	clear(w.lack)
	for i := range w.flow {
		f := &w.flow[i]
		rate := &f.rate
		v, k := f.current.cores(f.nic)
		if v != f.nic {
			w.lack[v] += rate[VXLAN]
		}
		if k != v {
			w.lack[k] += rate[Container]
		}
	}
	for i, got := range w.lack {
		w.lack[i] = 1
		if lost := float64(w.core[i].Drops) / max(w.interval, time.Millisecond).Seconds(); lost > 0 && got > 0 {
			w.lack[i] = min(1+lost/got, mostLack)
		}
	}
}

func calibrate(c *config, s *state, w *workspace) {
	var model, softirq float64
	for i, m := range w.model {
		model += m
		softirq += w.core[i].Softirq / c.slow(w, i)
	}
	if model < leastModel {
		return
	}
	ratio := min(max(softirq/model, 1.0/mostScale), mostScale)
	s.scale += smoothScale * (ratio - s.scale)
}

// smoothRate follows a rate up at once when it jumps, and evens out the rest.
func smoothRate(old, now float64) float64 {
	if now > old*jump {
		return now
	}
	return old + smoothUp*(now-old)
}

// demand finds the work that a flow would be if nothing held it up: what its cores' backlogs have no room for belongs to it
// in part, and the NIC of a full core holds back more than is known.
func demand(c *config, s *state, f *candidate, w *workspace) {
	rate := s.bucket[f.bucket].rate
	v, k := f.current.cores(f.nic)
	if v != f.nic {
		rate[VXLAN] = min(rate[VXLAN]*w.lack[v], rate[NIC])
		rate[Container] = min(rate[Container]*w.lack[v], rate[NIC])
	}
	if k != v {
		rate[Container] = min(rate[Container]*w.lack[k], rate[NIC])
	}
	f.need = c.newWork(f.nic, &rate, s.scale)
	f.seen = f.need.total()
	f.need.multiply(w.hidden[f.nic])
	f.need.before = s.bucket[f.bucket].rate[Container]
}

// slow is how much longer a core took for its work, in this interval, for what its siblings did.
func (c *config) slow(w *workspace, core int) float64 {
	slow := 1.0
	for _, s := range c.machine.Cores[core].Sibling {
		slow *= slowed(w.core[s].Busy)
	}
	return slow
}
