package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"falcon/datapath"
	"falcon/driver"
	"falcon/tests/lab"
)

// sysctls is a directory as /proc/sys/net/core.
func sysctls(t *testing.T, values map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBacklogAdvice(t *testing.T) {
	for value, want := range map[string]string{"1000": "max_backlog=4096", "300": "max_backlog=4096", "4096": "", "10000": "", "100000": "reordered"} {
		f := examineBacklog(sysctls(t, map[string]string{"netdev_max_backlog": value}))
		if !f.OK || !strings.Contains(f.Detail, value) || (want == "") != (f.Advice == "") || !strings.Contains(f.Advice, want) {
			t.Errorf("%s: %+v, want %q", value, f, want)
		}
	}
	if f := examineBacklog(t.TempDir()); !f.OK || !strings.Contains(f.Detail, "cannot be read") || f.Advice != "" {
		t.Errorf("no such file, as in a network namespace: %+v", f)
	}
}

func TestCPUAdvice(t *testing.T) {
	for _, c := range []struct {
		used, isolated []int
		wanted         bool
		detail         string
		advice         bool
	}{
		{[]int{0, 1, 2}, nil, true, "0-2 (3)", false},
		{[]int{0, 1}, []int{2, 3}, true, "0-1 (2); CPUs 2-3 are isolated and left out", false},
		{[]int{0}, []int{1}, true, "0 (1); CPUs 1 are isolated", true},
		{[]int{0}, nil, false, "0 (1)", false},
	} {
		f := judgeCPUs(datapath.Finding{OK: true}, datapath.NewCPUSet(c.used...), datapath.NewCPUSet(c.isolated...), c.wanted)
		if !f.OK || !strings.HasPrefix(f.Detail, c.detail) || (f.Advice != "") != c.advice {
			t.Errorf("%+v: %+v", c, f)
		}
	}
}

// Without the kernel's part, only who wants steering has something that does not work.
func TestLenientFindings(t *testing.T) {
	bad := datapath.Finding{Check: "bpffs", Detail: "read-only file system", Advice: "mount it"}
	if f := lenient(bad); !f.OK || !strings.Contains(f.Advice, bad.Advice) || f.Detail != bad.Detail {
		t.Errorf("%+v", f)
	}
	if good := (datapath.Finding{Check: "bpffs", OK: true}); !reflect.DeepEqual(lenient(good), good) {
		t.Errorf("%+v", lenient(good))
	}
}

func TestSteered(t *testing.T) {
	status := func(mode, experiment string, networks ...string) *driver.Status {
		s := &driver.Status{Steering: driver.SteeringStatus{Mode: mode, Experiment: experiment}}
		for _, n := range networks {
			s.Networks = append(s.Networks, driver.NetworkStatus{Steering: n})
		}
		return s
	}
	for _, c := range []struct {
		status *driver.Status
		want   bool
	}{
		{nil, false}, {status("off", ""), false}, {status("off", "", "off", "off"), false},
		{status("static", ""), true}, {status("static", "off"), false}, {status("static", "", "off"), false}, {status("off", "dynamic"), true}, {status("off", "", "off", "dynamic"), true},
	} {
		if got := steered(c.status); got != c.want {
			t.Errorf("%+v: %t", c.status, got)
		}
	}
}

// inScratch runs f in a network namespace of its own, with a device fvx-7 that has a table of flows and fvx-8 that has none.
func inScratch(t *testing.T, f func()) {
	t.Helper()
	lab.Require(t)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = exec.Command("unshare", "--mount", "sh", "-c", `ip link add fvx-7 type veth peer name fvx-8 &&
				mount -t sysfs none /sys && echo 256 > /sys/class/net/fvx-7/queues/rx-0/rps_flow_cnt`).Run()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A table of flows matters where the machine has RFS on, at devices that packets are steered to.
func TestRFSAdvice(t *testing.T) {
	on, off := sysctls(t, map[string]string{"rps_sock_flow_entries": "32768"}), sysctls(t, map[string]string{"rps_sock_flow_entries": "0"})
	inScratch(t, func() {
		dp, err := openDatapath()
		if err != nil {
			t.Error(err)
			return
		}
		defer dp.Close()
		for _, c := range []struct {
			dir     string
			devices []string
			want    string
		}{
			{on, []string{"fvx-8", "fvx-7"}, "/sys/class/net/fvx-7/queues/rx-0/rps_flow_cnt"},
			{on, []string{"fvx-8"}, ""}, {off, []string{"fvx-7"}, ""}, {t.TempDir(), []string{"fvx-7"}, ""},
		} {
			f := examineRFS(t.Context(), dp, c.dir, c.devices)
			if !f.OK || (f.Advice != "") != (c.want != "") || !strings.Contains(f.Advice, c.want) {
				t.Errorf("%+v: %+v", c, f)
			}
		}
	})
}
