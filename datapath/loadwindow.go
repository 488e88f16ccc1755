package datapath

// CPULoad is what a CPU did of late.
type CPULoad struct {
	// Shares of the time that the window covers, 0 to 1. Both are 0 if that is too short to tell.
	Busy, Softirq float64
	// Ticks is that time, in units of 10 ms.
	Ticks uint64

	// Since the sample before.
	Processed, Dropped, TimeSqueezed uint64

	Backlog int // packets, in the newest sample
}

// loadWindow gives shares of time over the last samples, because one interval of a few milliseconds is too short for
// the kernel's units, and all else from the newest. An error of one unit of 10 ms in a window of 100 ms is a tenth.
// It allocates nothing once it has seen all CPUs.
type loadWindow struct {
	slots [][]CPUSample // a ring; each by CPU number
	since []uint64      // by CPU number: the first sample of those without a gap that have the CPU; 0: there is none
	count uint64        // of samples so far; number n is in slots[n%len(slots)]
}

// newLoadWindow gives a window that covers the time of intervals between samples.
func newLoadWindow(intervals int) *loadWindow {
	return &loadWindow{slots: make([][]CPUSample, max(intervals, 1)+1)}
}

// add puts in the samples of all CPUs that are online, and takes out the oldest.
func (w *loadWindow) add(samples []CPUSample) {
	w.count++
	slot := w.slot(w.count)
	clear(*slot)
	for _, s := range samples {
		for s.CPU >= len(*slot) {
			*slot = append(*slot, CPUSample{})
		}
		(*slot)[s.CPU] = s
		for s.CPU >= len(w.since) {
			w.since = append(w.since, 0)
		}
		if w.since[s.CPU] == 0 {
			w.since[s.CPU] = w.count
		}
	}
	w.forget(samples)
}

// forget ends the history of CPUs that are gone.
func (w *loadWindow) forget(samples []CPUSample) {
	i := 0
	for cpu := range w.since {
		if i < len(samples) && samples[i].CPU == cpu {
			i++
		} else {
			w.since[cpu] = 0
		}
	}
}

func (w *loadWindow) slot(n uint64) *[]CPUSample { return &w.slots[n%uint64(len(w.slots))] }

// load gives a CPU's load. One that is not online has none.
func (w *loadWindow) load(cpu int) (CPULoad, bool) {
	if cpu < 0 || cpu >= len(w.since) || w.since[cpu] == 0 {
		return CPULoad{}, false
	}
	first := w.since[cpu]
	if n := uint64(len(w.slots)); w.count >= n {
		first = max(first, w.count-n+1)
	}
	now := (*w.slot(w.count))[cpu]
	l := now.shares((*w.slot(first))[cpu])
	l.Backlog = now.Backlog
	if last := max(first, w.count-1); last < w.count {
		before := (*w.slot(last))[cpu]
		l.Processed = ahead(now.Processed, before.Processed)
		l.Dropped = ahead(now.Dropped, before.Dropped)
		l.TimeSqueezed = ahead(now.TimeSqueezed, before.TimeSqueezed)
	}
	return l, true
}

// shares gives what part of the time since before was spent how.
func (s CPUSample) shares(before CPUSample) CPULoad {
	total := ahead(s.Total, before.Total)
	if total == 0 {
		return CPULoad{}
	}
	share := func(now, then uint64) float64 { return min(1, float64(ahead(now, then))/float64(total)) }
	return CPULoad{Ticks: total, Busy: share(s.Busy, before.Busy), Softirq: share(s.Softirq, before.Softirq)}
}

// ahead is how much a counter has grown. The kernel's idle times, and so Total, may go back a little (proc_stat(5)).
func ahead(now, before uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}
