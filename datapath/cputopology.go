package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuRoot is where the kernel describes the CPUs. It is the same in all namespaces.
const cpuRoot = "/sys/devices/system/cpu"

// Topology is what the kernel says of the machine's CPUs. The maps lack a CPU of which it says nothing: it does
// not of one that is offline, nor of NUMA nodes on a machine that has none.
type Topology struct {
	Possible CPUSet // all that may ever come
	Online   CPUSet
	Isolated CPUSet // isolcpus= on the kernel's command line
	NoHZFull CPUSet // nohz_full= there

	Siblings map[int]CPUSet // the hardware threads of a CPU's core, itself among them
	Node     map[int]int
	Package  map[int]int
}

// ReadTopology reads the files below root, cpuRoot if it is empty.
func ReadTopology(root string) (Topology, error) {
	if root == "" {
		root = cpuRoot
	}
	t := Topology{Siblings: map[int]CPUSet{}, Node: map[int]int{}, Package: map[int]int{}}
	if err := t.readSets(root); err != nil {
		return Topology{}, fmt.Errorf("read CPU topology: %w", err)
	}
	for cpu := range t.Possible.All() {
		if err := t.readCPU(cpu, filepath.Join(root, fmt.Sprintf("cpu%d", cpu))); err != nil {
			return Topology{}, fmt.Errorf("read CPU topology: %w", err)
		}
	}
	return t, nil
}

func (t *Topology) readSets(root string) error {
	for _, f := range []struct {
		name     string
		set      *CPUSet
		optional bool
	}{
		{"possible", &t.Possible, false},
		{"online", &t.Online, false},
		{"isolated", &t.Isolated, true},
		{"nohz_full", &t.NoHZFull, true}, // only with CONFIG_NO_HZ_FULL
	} {
		set, ok, err := readCPUList(filepath.Join(root, f.name))
		if err != nil {
			return err
		}
		if !ok && !f.optional {
			return fmt.Errorf("read %s: %w", filepath.Join(root, f.name), fs.ErrNotExist)
		}
		*f.set = set
	}
	return nil
}

// readCPU reads a CPU's directory. thread_siblings_list is the older name of core_cpus_list (kernel 5.3).
func (t *Topology) readCPU(cpu int, dir string) error {
	for _, name := range []string{"thread_siblings_list", "core_cpus_list"} {
		set, ok, err := readCPUList(filepath.Join(dir, "topology", name))
		if err != nil {
			return err
		}
		if ok && set.Contains(cpu) {
			t.Siblings[cpu] = set
			break
		}
	}
	text, _, err := readOptional(filepath.Join(dir, "topology", "physical_package_id"))
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 { // -1: the firmware does not tell
		t.Package[cpu] = n
	}
	return t.readNode(cpu, dir)
}

// readNode looks for the link node<N> to the CPU's NUMA node.
func (t *Topology) readNode(cpu int, dir string) error {
	entries, err := os.ReadDir(dir)
	if absent(err) {
		return nil
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), "node")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			t.Node[cpu] = int(n)
		}
	}
	return err
}

// readCPUList reads a file with a list of CPUs. Where there is none, older kernels print a null pointer.
func readCPUList(path string) (set CPUSet, ok bool, err error) {
	text, ok, err := readOptional(path)
	if err != nil || !ok || text == "(null)" {
		return CPUSet{}, ok, err
	}
	set, err = ParseCPUList(text)
	if err != nil {
		return CPUSet{}, false, fmt.Errorf("read %s: %w", path, err)
	}
	return set, true, nil
}

// readOptional reads a file that need not be there.
func readOptional(path string) (text string, ok bool, err error) {
	b, err := os.ReadFile(path)
	if absent(err) {
		return "", false, nil
	}
	return strings.TrimSpace(string(b)), err == nil, err
}

// absent tells that a file is not there, or went while it was read: a CPU's do when it goes offline.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// Steerable gives the CPUs that packets may be sent to: those that the user lists, or, with an empty list, all
// online CPUs that nobody has set aside. Whoever lists an isolated CPU wants it; but see setRPS.
func (t Topology) Steerable(cpus CPUSet) (CPUSet, error) {
	missing := cpus.Minus(t.Online)
	switch missing.Len() {
	case 0:
	case 1:
		return CPUSet{}, fmt.Errorf("CPU %s is not online: online are %s", missing, t.Online)
	default:
		return CPUSet{}, fmt.Errorf("CPUs %s are not online: online are %s", missing, t.Online)
	}
	if !cpus.IsEmpty() {
		return cpus, nil
	}
	if usual := t.Online.Minus(t.Isolated).Minus(t.NoHZFull); !usual.IsEmpty() {
		return usual, nil
	}
	return t.Online, nil
}
