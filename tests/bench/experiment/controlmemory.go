package experiment

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"falcon/tests/lab"
)

// resident is the memory that daemons hold, in MB.
func resident(daemons ...*lab.Daemon) (float64, error) {
	all := 0.0
	for _, d := range daemons {
		mb, err := residentOf(d.Pid())
		if err != nil {
			return 0, fmt.Errorf("read memory of %s: %w", d.Name, err)
		}
		all += mb
	}
	return all, nil
}

func residentOf(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		value, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		return float64(kib) * 1024 / 1e6, err
	}
	return 0, fmt.Errorf("process %d has no resident memory", pid)
}
