package datapath

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeCPUs writes files, by path below the root that it gives.
func fakeCPUs(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func cpus(t testing.TB, list string) CPUSet {
	t.Helper()
	set, err := ParseCPUList(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Two nodes of two cores of two threads; CPU 7 is offline, and its directory shows what is left of it.
func TestReadTopology(t *testing.T) {
	root := fakeCPUs(t, map[string]string{
		"possible": "0-7\n", "online": "0-6\n", "isolated": "6\n", "nohz_full": "2\n",
		"cpu0/topology/thread_siblings_list": "0,4\n", "cpu0/node0/cpulist": "", "cpu0/topology/physical_package_id": "0\n",
		"cpu1/topology/thread_siblings_list": "1,5\n", "cpu1/node0/cpulist": "", "cpu1/topology/physical_package_id": "0\n",
		"cpu2/topology/core_cpus_list": "2,6\n", "cpu2/node1/cpulist": "", "cpu2/topology/physical_package_id": "1\n",
		"cpu3/topology/core_cpus_list": "3\n", "cpu3/node1/cpulist": "", "cpu3/topology/physical_package_id": "-1\n",
		"cpu4/topology/thread_siblings_list": "0,4\n",
		"cpu5/nodes":                         "", "cpu5/nodex/x": "",
		"cpu7/hotplug/state": "0\n",
	})
	got, err := ReadTopology(root)
	if err != nil {
		t.Fatal(err)
	}
	if got.Possible.String() != "0-7" || got.Online.String() != "0-6" || got.Isolated.String() != "6" || got.NoHZFull.String() != "2" {
		t.Errorf("%+v", got)
	}
	siblings := map[int]CPUSet{0: cpus(t, "0,4"), 1: cpus(t, "1,5"), 2: cpus(t, "2,6"), 3: cpus(t, "3"), 4: cpus(t, "0,4")}
	if !maps.Equal(got.Siblings, siblings) {
		t.Errorf("siblings: %v", got.Siblings)
	}
	if want := map[int]int{0: 0, 1: 0, 2: 1, 3: 1}; !maps.Equal(got.Node, want) {
		t.Errorf("nodes: %v", got.Node)
	}
	if want := map[int]int{0: 0, 1: 0, 2: 1}; !maps.Equal(got.Package, want) {
		t.Errorf("packages: %v", got.Package)
	}
}

func TestReadTopologyOfLittle(t *testing.T) {
	got, err := ReadTopology(fakeCPUs(t, map[string]string{"possible": "0\n", "online": "0\n", "isolated": "\n", "nohz_full": "  (null)\n"}))
	if err != nil || got.Online != NewCPUSet(0) || !got.NoHZFull.IsEmpty() || !got.Isolated.IsEmpty() || len(got.Siblings) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, files := range map[string]map[string]string{
		"online":               {"possible": "0\n"},
		"possible":             {"online": "0\n"},
		"nonsense":             {"possible": "0\n", "online": "nonsense\n"},
		"thread_siblings_list": {"possible": "0\n", "online": "0\n", "cpu0/topology/thread_siblings_list": "?"},
	} {
		if _, err := ReadTopology(fakeCPUs(t, files)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadTopologyOfThisMachine(t *testing.T) {
	got, err := ReadTopology("")
	if err != nil {
		t.Fatal(err)
	}
	if got.Online.IsEmpty() || !got.Online.Minus(got.Possible).IsEmpty() {
		t.Errorf("%+v", got)
	}
	if _, err := got.Steerable(CPUSet{}); err != nil {
		t.Error(err)
	}
}

func TestSteerable(t *testing.T) {
	machine := Topology{Possible: cpus(t, "0-9"), Online: cpus(t, "0-3,6-7"), Isolated: cpus(t, "2"), NoHZFull: cpus(t, "3,9")}
	for list, want := range map[string]string{"": "0-1,6-7", "1-2": "1-2", "2": "2", "0-3,6-7": "0-3,6-7"} {
		if got, err := machine.Steerable(cpus(t, list)); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for list, want := range map[string]string{
		"5":   "CPU 5 is not online: online are 0-3,6-7",
		"1-9": "CPUs 4-5,8-9 are not online: online are 0-3,6-7",
		"64":  "CPU 64 is not online: online are 0-3,6-7",
	} {
		if got, err := machine.Steerable(cpus(t, list)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	machine.Isolated = machine.Online
	if got, err := machine.Steerable(CPUSet{}); err != nil || got != machine.Online {
		t.Errorf("all isolated: %v, %v", got, err)
	}
}
