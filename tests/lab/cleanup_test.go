package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// crashEnv makes the test binary a program that starts a lab, says so and waits to be killed.
const crashEnv = "LAB_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) != "" {
		crash()
	}
	os.Exit(m.Run())
}

func crash() {
	l, err := Start(context.Background(), Options{Hosts: 1, Docker: &DockerOptions{}, Etcd: true})
	if err == nil {
		_, err = l.Hosts[0].RunContainer(context.Background(), "box")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(l.Name)
	select {}
}

// processNamespaces are the namespaces of a process, by its directory in /proc.
func processNamespaces(dir string) []string {
	var names []string
	for _, kind := range []string{"net", "mnt", "pid", "uts", "ipc"} {
		// That of a kernel thread, or of a process that has just ended, cannot be read.
		if ns, err := os.Readlink(filepath.Join(dir, "ns", kind)); err == nil {
			names = append(names, ns)
		}
	}
	return names
}

// labNamespaces are those in which processes of a lab are, its containers included.
func labNamespaces(t *testing.T, lab string) map[string]bool {
	t.Helper()
	set := make(map[string]bool)
	for _, file := range glob(t, filepath.Join(tmpDir, lab, "*", "pid")) {
		pid, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, process := range glob(t, filepath.Join("/proc", string(pid), "root/proc/[0-9]*")) {
			for _, ns := range processNamespaces(process) {
				set[ns] = true
			}
		}
	}
	for _, ns := range processNamespaces("/proc/self") {
		if set[ns] {
			t.Errorf("the lab shares %s with the test", ns)
		}
	}
	return set
}

// process is one that no other can be taken for.
type process struct{ pid, started string }

// labProcesses are the processes in a lab, its containers' included.
func labProcesses(t *testing.T, lab string) []process {
	t.Helper()
	namespaces := labNamespaces(t, lab)
	var found []process
	for _, dir := range glob(t, "/proc/[0-9]*") {
		if slices.ContainsFunc(processNamespaces(dir), func(ns string) bool { return namespaces[ns] }) {
			found = append(found, process{dir, startTime(dir)})
		}
	}
	if len(found) == 0 {
		t.Error("the test sees no process of the lab")
	}
	return found
}

// startTime is empty when the process has ended.
func startTime(dir string) string {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return ""
	}
	_, fields, _ := strings.Cut(string(stat), ") ") // the command may contain blanks
	return strings.Fields(fields)[19]
}

// living are those of the processes that have not ended.
func living(ps []process) []process {
	var found []process
	for _, p := range ps {
		if startTime(p.pid) == p.started {
			found = append(found, p)
		}
	}
	return found
}

// traces are what of a lab is to be seen outside of its hosts.
func traces(t *testing.T, lab string) []string {
	t.Helper()
	found, err := cgroupDirs(lab)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, lab) {
			found = append(found, line)
		}
	}
	return append(found, glob(t, filepath.Join(tmpDir, lab))...)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCloseLeavesNothing(t *testing.T) {
	Require(t)
	ctx := testContext(t)
	l, err := Start(ctx, Options{Docker: &DockerOptions{}, Etcd: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Hosts[0].RunContainer(ctx, "box"); err != nil {
		t.Error(err)
	}
	processes := labProcesses(t, l.Name)
	if len(traces(t, l.Name)) < 2 {
		t.Error("the test does not see the lab")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error("second Close:", err)
	}
	for _, trace := range traces(t, l.Name) {
		t.Error("left:", trace)
	}
	if left := living(processes); len(left) > 0 {
		t.Error("left:", left)
	}
}

func TestSweepAfterCrash(t *testing.T) {
	Require(t)
	cmd := exec.CommandContext(testContext(t), "/proc/self/exe")
	cmd.Env = append(os.Environ(), crashEnv+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lab, err := bufio.NewReader(stdout).ReadString('\n')
	if lab = strings.TrimSpace(lab); err != nil || !strings.HasPrefix(lab, prefix) {
		t.Fatalf("start a lab: %v: %s", err, lab)
	}
	processes := labProcesses(t, lab)
	if err := Sweep(); err != nil {
		t.Error(err)
	}
	if len(living(processes)) == 0 || len(traces(t, lab)) < 2 {
		t.Error("a lab in use was swept")
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // tells of the kill
	// The hosts go by themselves.
	Eventually(t, 10*time.Second, func() error {
		if left := living(processes); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
	if err := Sweep(); err != nil {
		t.Error(err)
	}
	for _, trace := range traces(t, lab) {
		t.Error("left:", trace)
	}
}
