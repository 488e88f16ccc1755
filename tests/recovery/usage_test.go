package recovery

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// What a falcon may have more of after many cycles than before: a connection under way, a thread that the Go runtime
// has made meanwhile, a heap that has not been collected.
const (
	moreFiles   = 3
	moreThreads = 5
	moreMemory  = 24 << 10 // KiB
)

// usage is what a process holds.
type usage struct{ files, threads, memory int }

func (o overlay) usages() []usage {
	o.t.Helper()
	var all []usage
	for _, h := range o.Hosts {
		u, err := usageOf(h.Plugin.Pid())
		o.check(err)
		all = append(all, u)
	}
	return all
}

func usageOf(pid int) (usage, error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return usage{}, err
	}
	field := func(name string) int {
		n := 0
		if m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindSubmatch(status); m != nil {
			n, _ = strconv.Atoi(string(m[1]))
		}
		return n
	}
	return usage{files: len(files), threads: field("Threads"), memory: field("VmRSS")}, nil
}

// doesNotGrow compares what the hosts' falcons hold with what they held before.
func (o overlay) doesNotGrow(before []usage) {
	o.t.Helper()
	o.eventually(10*time.Second, func() error {
		for i, now := range o.usages() {
			was := before[i]
			if now.files > was.files+moreFiles || now.threads > was.threads+moreThreads || now.memory > was.memory+moreMemory {
				return fmt.Errorf("falcon on %s has grown: %+v, before %+v", o.Hosts[i].Name, now, was)
			}
		}
		return nil
	})
	o.t.Logf("falcons hold %+v, before %+v", o.usages(), before)
}
