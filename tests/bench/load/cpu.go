package load

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Core is what one core did, as /proc/stat has it since boot, or between two snapshots. The kernel samples it by its tick
// (4 ms at CONFIG_HZ=250, unless it has CONFIG_IRQ_TIME_ACCOUNTING or CONFIG_VIRT_CPU_ACCOUNTING_GEN) and tells it in
// steps of 10 ms: take seconds, not milliseconds.
type Core struct {
	User, Nice, System, Idle, IOWait, IRQ, SoftIRQ, Steal time.Duration
	Softnet                                               Softnet
}

// Busy is all time in which the core worked for this machine. Guests are in User and Nice; waiting for a disk is idleness.
func (c Core) Busy() time.Duration { return c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ }

// Total is all time.
func (c Core) Total() time.Duration { return c.Busy() + c.Idle + c.IOWait + c.Steal }

func (c Core) minus(o Core) Core {
	return Core{c.User - o.User, c.Nice - o.Nice, c.System - o.System, c.Idle - o.Idle, c.IOWait - o.IOWait,
		c.IRQ - o.IRQ, c.SoftIRQ - o.SoftIRQ, c.Steal - o.Steal, c.Softnet.minus(o.Softnet)}
}

// Snapshot is what all cores did until a moment, by number. Cores that were offline are missing.
type Snapshot struct {
	At    time.Time
	Cores map[int]Core
}

// TakeSnapshot reads the kernel's accounts, which are those of the whole machine: no namespace has its own.
func TakeSnapshot() (Snapshot, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{At: time.Now()}
	if s.Cores, err = parseStat(string(stat)); err != nil {
		return s, fmt.Errorf("read /proc/stat: %w", err)
	}
	softnet, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		return s, err
	}
	per, err := parseSoftnet(string(softnet))
	if err != nil {
		return s, fmt.Errorf("read softnet_stat: %w", err)
	}
	for n, core := range s.Cores {
		core.Softnet = per[n]
		s.Cores[n] = core
	}
	return s, nil
}

// Usage is what the cores did between two snapshots.
type Usage struct {
	Elapsed time.Duration
	Cores   map[int]Core
}

// Since is what happened after an earlier snapshot, on the cores that are in both.
func (s Snapshot) Since(earlier Snapshot) Usage {
	u := Usage{Elapsed: s.At.Sub(earlier.At), Cores: map[int]Core{}}
	for n, core := range s.Cores {
		if before, ok := earlier.Cores[n]; ok {
			u.Cores[n] = core.minus(before)
		}
	}
	return u
}

// userHZ is the unit of /proc/stat, the same on all architectures that matter (sysconf(_SC_CLK_TCK)).
const userHZ = 100

// parseStat reads the lines of the single cores (proc_stat(5)).
func parseStat(text string) (map[int]Core, error) {
	cores := map[int]Core{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu") || fields[0] == "cpu" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(fields[0], "cpu"))
		if err != nil || len(fields) < 9 {
			return nil, fmt.Errorf("line %q", strings.TrimSpace(line))
		}
		var times [8]time.Duration
		for i := range times {
			ticks, err := strconv.ParseUint(fields[i+1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", strings.TrimSpace(line), err)
			}
			times[i] = time.Duration(ticks) * (time.Second / userHZ)
		}
		cores[n] = Core{User: times[0], Nice: times[1], System: times[2], Idle: times[3], IOWait: times[4], IRQ: times[5], SoftIRQ: times[6], Steal: times[7]}
	}
	if len(cores) == 0 {
		return nil, errors.New("no cores")
	}
	return cores, nil
}
