package datapath

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fakeProc is a /proc that a test writes.
type fakeProc struct {
	t    testing.TB
	root string
}

func newFakeProc(t testing.TB, stat, softnet string) fakeProc {
	p := fakeProc{t, fakeCPUs(t, map[string]string{"stat": stat, "net/softnet_stat": softnet})}
	return p
}

// write changes the files that are open.
func (p fakeProc) write(stat, softnet string) {
	p.t.Helper()
	for name, text := range map[string]string{"stat": stat, "net/softnet_stat": softnet} {
		if err := os.WriteFile(filepath.Join(p.root, name), []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p fakeProc) sampler() *cpuSampler {
	p.t.Helper()
	s, err := openCPUSampler(p.root)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := s.close(); err != nil {
			p.t.Error(err)
		}
	})
	return s
}

const (
	fakeStat = "cpu  9 9 9 9 9 9 9 9 9 9\n" +
		"cpu0 100 20 30 4000 500 6 70 8 90 10\n" +
		"cpu2 1 2 3 4 5 6 7 8 0 0\n" +
		"intr 12 0 0\nctxt 5\ncpu7 1 1 1 1\n"
	fakeSoftnet = "554f1964 00000003 00000004 00000000 00000000 00000000 00000000 00000000 00000000 0023d593 00000000 0000000a 00000000 00000006 00000004\n" +
		"00000010 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 000003e8 00000002 000003e8 00000000\n" +
		"00000010 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000005 00000000 00000000\n"
)

func TestCPUSample(t *testing.T) {
	want := []CPUSample{
		{CPU: 0, Busy: 234, Softirq: 70, Total: 4734, Processed: 0x554f1964, Dropped: 3, TimeSqueezed: 4, Backlog: 10},
		{CPU: 2, Busy: 27, Softirq: 7, Total: 36, Processed: 16, TimeSqueezed: 1, Backlog: 1000},
	}
	short := func(columns int) string { // the first columns of each row
		var b strings.Builder
		for line := range strings.Lines(fakeSoftnet) {
			fmt.Fprintln(&b, strings.Join(strings.Fields(line)[:columns], " "))
		}
		return b.String()
	}
	for columns, backlog := range map[int]bool{15: true, 13: true, 11: false, 10: false} {
		got, err := newFakeProc(t, fakeStat, short(columns)).sampler().sample()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d columns: %+v, %v", columns, got, err)
		}
		for i, w := range want {
			if !backlog {
				w.Backlog = 0
			}
			if got[i] != w {
				t.Errorf("%d columns: %+v, want %+v", columns, got[i], w)
			}
		}
	}
}

func TestCPUSampleOfThisMachine(t *testing.T) {
	s := fakeProc{t, "/proc"}.sampler()
	machine, err := ReadTopology("")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.sample()
		if err != nil || len(got) != machine.Online.Len() {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, c := range got {
			if !machine.Online.Contains(c.CPU) || c.Total == 0 || c.Busy > c.Total || c.Softirq > c.Busy {
				t.Errorf("%+v", c)
			}
		}
	}
}

func TestCPUSamplerErrors(t *testing.T) {
	if _, err := openCPUSampler(t.TempDir()); err == nil {
		t.Error("opens nothing")
	}
	p := newFakeProc(t, "intr 0\n", "")
	if got, err := p.sampler().sample(); err == nil {
		t.Errorf("%+v", got)
	}
}

// The kernel's 32 bits are full after an hour at a million packets per second.
func TestCPUCountersDoNotWrap(t *testing.T) {
	row := func(n uint32) string { return fmt.Sprintf("%08x %08x %08x", n, n, n) + strings.Repeat(" 00000000", 10) }
	p := newFakeProc(t, "cpu0 1 1 1 1\n", row(math.MaxUint32))
	s := p.sampler()
	total := uint64(0)
	for i, c := range []struct {
		low  uint32
		want uint64
	}{{math.MaxUint32, math.MaxUint32}, {1, 1<<32 + 1}, {1, 1<<32 + 1}, {0xfffffff0, 1<<33 - 16}, {0, 1 << 33}} {
		p.write("cpu0 1 1 1 1\n", row(c.low))
		got, err := s.sample()
		if err != nil || got[0].Processed != c.want || got[0].Dropped != c.want || got[0].TimeSqueezed != c.want || c.want < total {
			t.Fatalf("step %d: %+v, %v", i, got, err)
		}
		total = c.want
	}
}

// A file that is longer than ever is read whole, as is what comes after it.
func TestProcFileGrows(t *testing.T) {
	p := newFakeProc(t, fakeStat, fakeSoftnet)
	s := p.sampler()
	stat, softnet := syntheticProc(400)
	for range 2 {
		p.write(stat, softnet)
		if got, err := s.sample(); err != nil || len(got) != 400 || got[399].Processed != 399 {
			t.Fatalf("%d, %v", len(got), err)
		}
		p.write(fakeStat, fakeSoftnet)
		if got, err := s.sample(); err != nil || len(got) != 2 || got[1].CPU != 2 || got[1].Backlog != 1000 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

// syntheticProc is what a machine with n CPUs, and some interrupts for each, shows.
func syntheticProc(n int) (stat, softnet string) {
	var a, b strings.Builder
	a.WriteString("cpu  719795 898 902136 2527612 14177 0 342166 947 0 0\n")
	for cpu := range n {
		fmt.Fprintf(&a, "cpu%d 338933 373 470019 %d 4008 0 241757 421 0 0\n", cpu, 1213560+cpu)
		fmt.Fprintf(&b, "%08x 00000000 000004b9"+strings.Repeat(" 00000000", 8)+" %08x %08x 00000000 00000000\n", cpu, cpu, cpu)
	}
	a.WriteString("intr 175423561" + strings.Repeat(" 0", 20*n) + "\nctxt 396261922\nbtime 1\nprocesses 2\n")
	return a.String(), b.String()
}

func FuzzCPUSampler(f *testing.F) {
	f.Add([]byte(fakeStat), []byte(fakeSoftnet))
	f.Add([]byte("cpu0"), []byte("1 2 3"))
	f.Fuzz(func(t *testing.T, stat, softnet []byte) {
		s := &cpuSampler{}
		s.samples = parseStat(stat, nil)
		s.addSoftnet(softnet)
		for _, c := range s.samples {
			if c.CPU < 0 || c.CPU >= maxCPUs {
				t.Errorf("%+v", c)
			}
		}
	})
}

func TestLoadWindow(t *testing.T) {
	w := newLoadWindow(2)
	if l, ok := w.load(0); ok {
		t.Errorf("before anything: %+v", l)
	}
	for i, step := range []struct {
		samples []CPUSample
		want    map[int]CPULoad // those that are missing are not online
	}{
		{[]CPUSample{{CPU: 0, Busy: 100, Total: 200, Dropped: 7, Backlog: 3}}, map[int]CPULoad{0: {Backlog: 3}}},
		{[]CPUSample{{CPU: 0, Busy: 101, Softirq: 1, Total: 202, Dropped: 9}, {CPU: 2, Busy: 5, Total: 9}},
			map[int]CPULoad{0: {Busy: 0.5, Softirq: 0.5, Ticks: 2, Dropped: 2}, 2: {}}},
		{[]CPUSample{{CPU: 0, Busy: 103, Softirq: 1, Total: 204, Dropped: 9, Processed: 5}, {CPU: 2, Busy: 5, Total: 8}},
			map[int]CPULoad{0: {Busy: 0.75, Softirq: 0.25, Ticks: 4, Processed: 5}, 2: {}}},
		{[]CPUSample{{CPU: 2, Busy: 5, Total: 19}}, map[int]CPULoad{2: {Ticks: 10}}},                                // CPU 0 goes
		{[]CPUSample{{CPU: 0, Busy: 900, Total: 990}, {CPU: 2, Total: 20}}, map[int]CPULoad{0: {}, 2: {Ticks: 12}}}, // and comes back
		{[]CPUSample{{CPU: 0, Busy: 901, Total: 991}, {CPU: 2, Total: 21}}, map[int]CPULoad{0: {Busy: 1, Ticks: 1}, 2: {Ticks: 2}}},
	} {
		w.add(step.samples)
		for cpu := -1; cpu < 5; cpu++ {
			got, ok := w.load(cpu)
			want, online := step.want[cpu]
			if ok != online || got != want {
				t.Errorf("step %d: CPU %d: %+v, %v, want %+v", i, cpu, got, ok, want)
			}
		}
	}
}

// Whatever the kernel counts and whichever CPUs come and go, shares are shares.
func TestLoadWindowGivesShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newLoadWindow(rapid.IntRange(0, 4).Draw(t, "intervals"))
		count := rapid.Uint64Range(0, 50)
		for range rapid.IntRange(1, 12).Draw(t, "samples") {
			var samples []CPUSample
			for cpu := range 4 {
				if rapid.Bool().Draw(t, "online") {
					busy := count.Draw(t, "busy")
					samples = append(samples, CPUSample{CPU: cpu, Busy: busy, Softirq: count.Draw(t, "softirq"), Total: busy + count.Draw(t, "idle")})
				}
			}
			w.add(samples)
			online := map[int]bool{}
			for _, s := range samples {
				online[s.CPU] = true
			}
			for cpu := range 5 {
				l, ok := w.load(cpu)
				if ok != online[cpu] || !(l.Busy >= 0 && l.Busy <= 1) || !(l.Softirq >= 0 && l.Softirq <= 1) || l.Ticks > 100 {
					t.Fatalf("CPU %d: %+v, %v", cpu, l, ok)
				}
			}
		}
	})
}

// sampleOnce is what a turn of the balancer does with its files.
func sampleOnce(t testing.TB, s *cpuSampler, w *loadWindow) {
	samples, err := s.sample()
	if err != nil {
		t.Fatal(err)
	}
	w.add(samples)
	for i := range samples {
		w.load(samples[i].CPU)
	}
}

func TestSamplingAllocatesNothing(t *testing.T) {
	p := newFakeProc(t, "", "")
	p.write(syntheticProc(128))
	for _, proc := range []string{"/proc", p.root} {
		s, w := fakeProc{t, proc}.sampler(), newLoadWindow(8)
		for range 10 {
			sampleOnce(t, s, w)
		}
		if n := testing.AllocsPerRun(100, func() { sampleOnce(t, s, w) }); n != 0 {
			t.Errorf("%s: %v allocations", proc, n)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	p := newFakeProc(b, "", "")
	p.write(syntheticProc(128))
	for name, proc := range map[string]string{"this machine": "/proc", "files of 128 CPUs": p.root} {
		b.Run(name, func(b *testing.B) {
			s, w := fakeProc{b, proc}.sampler(), newLoadWindow(8)
			sampleOnce(b, s, w)
			b.ReportAllocs()
			for b.Loop() {
				sampleOnce(b, s, w)
			}
		})
	}
}
