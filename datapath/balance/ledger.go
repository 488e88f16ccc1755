package balance

// ledger holds each core's predicted load.
type ledger struct {
	packets []float64
	foreign []float64
}

func newLedger(cores int) ledger {
	return ledger{packets: make([]float64, cores), foreign: make([]float64, cores)}
}

func (l *ledger) add(f *footprint) {
	for i := range f.n {
		l.packets[f.core[i]] += f.load[i]
		l.foreign[f.core[i]] += f.foreign[i]
	}
}

func (l *ledger) remove(f *footprint) {
	for i := range f.n {
		l.packets[f.core[i]] -= f.load[i]
		l.foreign[f.core[i]] -= f.foreign[i]
	}
}

func (l *ledger) total(core int16) float64 { return l.packets[core] + l.foreign[core] }

const (
	// Share by which an SMT sibling that is fully busy slows a core: two threads together do about 1.25 times the work of
	// one, so each of them takes 1.6 times as long.
	siblingSlows = 0.6
	// Foreign load from which starving it counts in full: less is daemons and timers, which are always there.
	realForeign = 0.2
	// The least that softirqs leave to others: the kernel hands them to a thread (ksoftirqd) when they go on for 2 ms.
	leftOver = 0.05
)

// effective is how full a core is, as those see it that wait for it longest: with what its siblings take from it and,
// in overload, with what packets leave to others. Softirqs come first, so of what is too much, all falls on the rest.
func (c *config) effective(l *ledger, core int16) float64 {
	slow := 1.0
	for _, s := range c.machine.Cores[core].Sibling {
		slow *= 1 + siblingSlows*min(max(l.total(int16(s)), 0), 1)
	}
	packets, foreign := l.packets[core]*slow, l.foreign[core]*slow
	load := packets + foreign
	if load <= 1 || foreign <= 0 {
		return load
	}
	starved := foreign / max(1-packets, leftOver)
	return load + min(foreign/realForeign, 1)*max(starved-load, 0)
}
