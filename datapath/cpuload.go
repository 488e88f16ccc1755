package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
)

// CPUSample is what the kernel has counted for one CPU since it booted.
//
// Times are in units of 10 ms (USER_HZ) and, in a kernel with CONFIG_TICK_CPU_ACCOUNTING, sampled by the timer tick:
// what a CPU did in less than some 50 ms cannot be told from them. Use a loadWindow.
type CPUSample struct {
	CPU     int
	Busy    uint64 // all but idle and iowait. What the hypervisor took (steal) is busy: it was not there for packets
	Softirq uint64 // part of Busy
	Total   uint64

	// Processed counts passes through the receive path: an overlay packet has about three. The kernel counts these
	// three in 32 bits; here they do not wrap.
	Processed    uint64
	Dropped      uint64 // the backlog was full
	TimeSqueezed uint64 // a softirq had to stop with work left

	Backlog int // packets in the CPU's backlog now; 0 if the kernel (before 5.10) does not tell
}

// cpuSampler reads CPUSamples of all online CPUs; a sample of two CPUs takes about 10 us. It allocates nothing once
// it has seen all CPUs, and belongs to one goroutine.
type cpuSampler struct {
	stat, softnet procFile
	samples       []CPUSample // ascending by CPU
	counters      []cpuCounters
}

// cpuCounters are the softnet counters of a CPU without wraps, by CPU number.
type cpuCounters struct{ processed, dropped, squeezed uint64 }

// openCPUSampler opens the files below proc, /proc if it is empty. Both tell of the whole machine, in any namespace.
func openCPUSampler(proc string) (*cpuSampler, error) {
	if proc == "" {
		proc = "/proc"
	}
	s := &cpuSampler{}
	for _, f := range []struct {
		file *procFile
		name string
	}{{&s.stat, "stat"}, {&s.softnet, "net/softnet_stat"}} {
		if err := f.file.open(filepath.Join(proc, f.name)); err != nil {
			return nil, errors.Join(fmt.Errorf("open CPU load: %w", err), s.close())
		}
	}
	return s, nil
}

func (s *cpuSampler) close() error { return errors.Join(s.stat.close(), s.softnet.close()) }

// sample gives the online CPUs in ascending order. The slice is good until the next call.
func (s *cpuSampler) sample() ([]CPUSample, error) {
	text, err := s.stat.read()
	if err != nil {
		return nil, fmt.Errorf("read CPU times: %w", err)
	}
	s.samples = parseStat(text, s.samples[:0])
	if len(s.samples) == 0 {
		return nil, fmt.Errorf("read CPU times: no CPU in %s", s.stat.file.Name())
	}
	if text, err = s.softnet.read(); err != nil {
		return nil, fmt.Errorf("read CPU backlogs: %w", err)
	}
	s.addSoftnet(text)
	return s.samples, nil
}

// Columns of a CPU in /proc/stat. Guest time, which follows, is part of user and nice already.
const (
	statUser = iota
	statNice
	statSystem
	statIdle
	statIOWait
	statIRQ
	statSoftirq
	statSteal
	statColumns
)

// parseStat appends the CPUs of /proc/stat, whose lines are cpu<N> and times; the first, of all CPUs, has no number.
func parseStat(text []byte, samples []CPUSample) []CPUSample {
	for len(text) > 0 {
		var line []byte
		line, text = cutLine(text)
		if !bytes.HasPrefix(line, []byte("cpu")) {
			break // CPUs come first
		}
		cpu, line, ok := cutNumber(line[len("cpu"):], 10)
		if !ok || cpu >= maxCPUs {
			continue
		}
		var times [statColumns]uint64
		for i := range times {
			times[i], line, _ = cutNumber(skipBlanks(line), 10)
		}
		samples = append(samples, sampleOf(int(cpu), times))
	}
	return samples
}

func sampleOf(cpu int, times [statColumns]uint64) CPUSample {
	s := CPUSample{CPU: cpu, Softirq: times[statSoftirq]}
	for i, t := range times {
		s.Total += t
		if i != statIdle && i != statIOWait {
			s.Busy += t
		}
	}
	return s
}

// Columns of /proc/net/softnet_stat, in hexadecimal. Backlog and CPU are there since 5.10; before, rows are the online
// CPUs in order.
const (
	softnetProcessed = 0
	softnetDropped   = 1
	softnetSqueezed  = 2
	softnetBacklog   = 11
	softnetCPU       = 12
	softnetColumns   = 13
)

// addSoftnet fills in what /proc/net/softnet_stat says of the sampled CPUs.
func (s *cpuSampler) addSoftnet(text []byte) {
	for row := 0; len(text) > 0; row++ {
		var line []byte
		line, text = cutLine(text)
		var columns [softnetColumns]uint64
		n := parseColumns(line, columns[:])
		if n <= softnetSqueezed {
			continue
		}
		if n > softnetCPU {
			if to := s.find(int(columns[softnetCPU]), row); to != nil {
				s.count(to, columns)
			}
		} else if row < len(s.samples) {
			columns[softnetBacklog] = 0
			s.count(&s.samples[row], columns)
		}
	}
}

// find gives the sample of a CPU, most likely at index guess: both files list the online CPUs. A CPU that came between
// the two reads has none.
func (s *cpuSampler) find(cpu, guess int) *CPUSample {
	if guess < len(s.samples) && s.samples[guess].CPU == cpu {
		return &s.samples[guess]
	}
	for i := range s.samples {
		if s.samples[i].CPU == cpu {
			return &s.samples[i]
		}
	}
	return nil
}

func (s *cpuSampler) count(to *CPUSample, columns [softnetColumns]uint64) {
	for to.CPU >= len(s.counters) {
		s.counters = append(s.counters, cpuCounters{})
	}
	c := &s.counters[to.CPU]
	c.processed = unwrap(c.processed, columns[softnetProcessed])
	c.dropped = unwrap(c.dropped, columns[softnetDropped])
	c.squeezed = unwrap(c.squeezed, columns[softnetSqueezed])
	to.Processed, to.Dropped, to.TimeSqueezed = c.processed, c.dropped, c.squeezed
	to.Backlog = int(columns[softnetBacklog])
}

// unwrap continues a counter from its lower 32 bits, which were the same or less before.
func unwrap(before, low uint64) uint64 { return before + uint64(uint32(low)-uint32(before)) }

// parseColumns reads hexadecimal numbers and tells how many there are; those beyond the columns are left out.
func parseColumns(line []byte, columns []uint64) int {
	for i := range columns {
		var ok bool
		if columns[i], line, ok = cutNumber(skipBlanks(line), 16); !ok {
			return i
		}
	}
	return len(columns)
}

func cutLine(text []byte) (line, rest []byte) {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, nil
}

func skipBlanks(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// cutNumber reads digits at the beginning of b. It is strconv without the conversion to a string.
func cutNumber(b []byte, base uint64) (n uint64, rest []byte, ok bool) {
	for i, c := range b {
		digit := uint64(c - '0')
		if c >= 'a' {
			digit = uint64(c-'a') + 10
		}
		if c < '0' || digit >= base {
			return n, b[i:], i > 0
		}
		n = n*base + digit
	}
	return n, nil, len(b) > 0
}
