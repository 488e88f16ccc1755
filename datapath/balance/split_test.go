package balance

import (
	"slices"
	"testing"
	"time"
)

const splitTick = 10 * time.Millisecond

// splitWorld is cores and TCP flows, and what a split does to a flow's rate.
type splitWorld struct {
	cores []CoreLoad
	flows []SplitFlow
	gain  float64 // of the rate of a flow while it is split
}

// after lets a splitter see a world for some time, and gives what it wants then and how often that changed.
func (w splitWorld) after(s *Splitter, d time.Duration) (want []int16, changes int) {
	for range d / splitTick {
		flows := slices.Clone(w.flows)
		for i, f := range flows {
			if s.want[f.Bucket] != Inline {
				flows[i].Rate *= w.gain
			}
		}
		before := slices.Clone(s.want)
		want = slices.Clone(s.Next(splitTick, w.cores, flows))
		if !slices.Equal(before, want) {
			changes++
		}
	}
	return want, changes
}

func newTestSplitter(t *testing.T, m Machine) *Splitter {
	t.Helper()
	s, err := NewSplitter(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fullOfPackets is a core that can take in no more.
var fullOfPackets = CoreLoad{Busy: 1, Softirq: 1}

func TestSplitterDecides(t *testing.T) {
	elephant := []SplitFlow{{Bucket: 7, From: 0, Rate: 400_000}}
	const long = 600 * time.Millisecond
	for name, c := range map[string]struct {
		world splitWorld
		off   bool // CPU 1 is not allowed
		want  int16
	}{
		"full, and it pays":           {world: splitWorld{cores: []CoreLoad{fullOfPackets, {Busy: 0.3}}, flows: elephant, gain: 1.3}, want: 1},
		"full, and it does not pay":   {world: splitWorld{cores: []CoreLoad{fullOfPackets, {Busy: 0.3}}, flows: elephant, gain: 1}, want: Inline},
		"full, and it costs":          {world: splitWorld{cores: []CoreLoad{fullOfPackets, {Busy: 0.3}}, flows: elephant, gain: 0.8}, want: Inline},
		"not full":                    {world: splitWorld{cores: []CoreLoad{{Busy: 0.8, Softirq: 0.8}, {}}, flows: elephant, gain: 2}, want: Inline},
		"full of applications":        {world: splitWorld{cores: []CoreLoad{{Busy: 1, Softirq: 0.3}, {}}, flows: elephant, gain: 2}, want: Inline},
		"other core full too":         {world: splitWorld{cores: []CoreLoad{fullOfPackets, {Busy: 0.9}}, flows: elephant, gain: 2}, want: Inline},
		"too much for the other core": {world: splitWorld{cores: []CoreLoad{fullOfPackets, {Busy: 0.3}}, flows: []SplitFlow{{Bucket: 7, Rate: 800_000}}, gain: 2}, want: Inline},
		"other core drops":            {world: splitWorld{cores: []CoreLoad{fullOfPackets, {Drops: 1}}, flows: elephant, gain: 2}, want: Inline},
		"other core not allowed":      {world: splitWorld{cores: []CoreLoad{fullOfPackets, {}}, flows: elephant, gain: 2}, off: true, want: Inline},
		"no flow is large":            {world: splitWorld{cores: []CoreLoad{fullOfPackets, {}}, flows: []SplitFlow{{Bucket: 7, Rate: leastSplit / 2}}, gain: 2}, want: Inline},
		"a machine that has changed":  {world: splitWorld{cores: []CoreLoad{fullOfPackets}, flows: elephant, gain: 2}, want: Inline},
	} {
		t.Run(name, func(t *testing.T) {
			m := two()
			m.Cores[1].Allowed = !c.off
			if want, _ := c.world.after(newTestSplitter(t, m), long); want[7] != c.want {
				t.Errorf("wants %d, should want %d", want[7], c.want)
			}
		})
	}
}

// Of several flows the largest is tried first, then the next, as long as it pays.
func TestSplitterGoesOn(t *testing.T) {
	w := splitWorld{cores: []CoreLoad{fullOfPackets, {Busy: 0.2}, {Busy: 0.1}}, gain: 1.3, flows: []SplitFlow{
		{Bucket: 1, Rate: 50_000}, {Bucket: 2, Rate: 300_000}, {Bucket: 3, Rate: 100_000}, {Bucket: 4, Rate: 1_000}}}
	s := newTestSplitter(t, Machine{Cores: []Core{{CPU: 0, Allowed: true}, {CPU: 1, Allowed: true}, {CPU: 2, Allowed: true}}})
	if want, _ := w.after(s, 250*time.Millisecond); want[2] != 2 || want[1] != Inline || want[3] != Inline {
		t.Fatalf("first: %v, want the largest on the emptiest core", want[1:5])
	}
	if want, _ := w.after(s, 600*time.Millisecond); want[3] == Inline {
		t.Errorf("second: %v", want[1:5])
	}
}

// What does not pay is tried ever less often.
func TestSplitterLearns(t *testing.T) {
	w := splitWorld{cores: []CoreLoad{fullOfPackets, {}}, flows: []SplitFlow{{Bucket: 7, Rate: 400_000}}, gain: 1}
	s := newTestSplitter(t, two())
	_, first := w.after(s, 10*time.Second)
	_, later := w.after(s, 60*time.Second)
	if first < 2 || first > 6 || later > 8 {
		t.Errorf("%d changes in the first 10 s, %d in the 60 s after: want a few, and fewer", first, later)
	}
}

// A core that has room again takes its flows back, and what is silent is forgotten.
func TestSplitterGivesBack(t *testing.T) {
	w := splitWorld{cores: []CoreLoad{fullOfPackets, {}}, flows: []SplitFlow{{Bucket: 7, Rate: 400_000}}, gain: 1.5}
	for name, calm := range map[string]splitWorld{
		"room":   {cores: []CoreLoad{{Busy: 0.2, Softirq: 0.2}, {}}, flows: []SplitFlow{{Bucket: 7, Rate: 40_000}}, gain: 1},
		"silent": {cores: []CoreLoad{{Busy: 0.9}, {}}},
	} {
		s := newTestSplitter(t, two())
		if want, _ := w.after(s, time.Second); want[7] != 1 {
			t.Fatalf("not split: %d", want[7])
		}
		if want, changes := calm.after(s, 2*splitCalm); want[7] != Inline || changes != 1 {
			t.Errorf("%s: wants %d after %d changes", name, want[7], changes)
		}
	}
}

func TestSplitterAllocatesNothing(t *testing.T) {
	s := newTestSplitter(t, two())
	cores, flows := []CoreLoad{fullOfPackets, {}}, []SplitFlow{{Bucket: 7, Rate: 400_000}}
	if n := testing.AllocsPerRun(100, func() { s.Next(splitTick, cores, flows) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
