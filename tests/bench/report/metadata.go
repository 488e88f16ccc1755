package report

import (
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Metadata says where and when a run took place.
type Metadata struct {
	Began    time.Time         `json:"began"`
	Took     time.Duration     `json:"took_ns"`
	Quick    bool              `json:"quick"`
	Kernel   string            `json:"kernel"`
	CPUs     int               `json:"cpus"`
	Model    string            `json:"cpu_model"`
	Go       string            `json:"go"`
	Load     string            `json:"load_average"` // at the start, over 1, 5 and 15 minutes
	Versions map[string]string `json:"versions,omitempty"`
	Pinned   map[string]string `json:"pinned,omitempty"` // what runs where: part to cores
}

// Collect describes this machine now. The caller adds versions, what is pinned, and how long it took.
func Collect(quick bool) Metadata {
	return Metadata{
		Began: time.Now().UTC(), Quick: quick, Kernel: kernel(), CPUs: runtime.NumCPU(), Model: cpuModel(), Go: runtime.Version(),
		Load: loadAverage(), Versions: map[string]string{}, Pinned: map[string]string{},
	}
}

const unknown = "unknown"

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return unknown
	}
	return unix.ByteSliceToString(u.Release[:])
}

func cpuModel() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(raw))
	if err != nil || len(fields) < 3 {
		return unknown
	}
	return strings.Join(fields[:3], " ")
}
