package datapath

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// handle opens the namespace for the time of the test.
func (s *space) handle() netns.NsHandle {
	s.t.Helper()
	ns, err := netns.GetFromPath(s.path())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ns.Close() }) // one may have been closed by the test
	return ns
}

func (s *space) sysfs() *sysfs {
	s.t.Helper()
	fs, err := openSysfs(s.handle())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := fs.close(); err != nil {
			s.t.Error(err)
		}
	})
	return fs
}

func wantRPS(t testing.TB, fs *sysfs, device string, want ...CPUSet) {
	t.Helper()
	if got, err := fs.rps(context.Background(), device); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%s: %v, %v, want %v", device, got, err, want)
	}
}

// someCPUs gives the CPUs that may be in a mask here, and one of them.
func someCPUs(t testing.TB) (all, one CPUSet) {
	t.Helper()
	machine, err := ReadTopology("")
	if err != nil {
		t.Fatal(err)
	}
	if all, err = machine.Steerable(CPUSet{}); err != nil {
		t.Fatal(err)
	}
	for cpu := range all.All() {
		one = NewCPUSet(cpu)
	}
	return all, one
}

func TestSetRPS(t *testing.T) {
	s := newSpace(t, "h")
	fs := s.sysfs()
	all, one := someCPUs(t)
	ctx := context.Background()
	s.ip("link add v0 numrxqueues 3 type veth peer name w0")
	s.ip("link add v1 type veth peer name w1")
	for i, step := range []struct {
		mask    CPUSet
		changed bool
	}{{CPUSet{}, false}, {one, true}, {one, false}, {all, all != one}, {CPUSet{}, true}, {CPUSet{}, false}} {
		for device, queues := range map[string]int{"v0": 3, "v1": 1} {
			changed, err := fs.setRPS(ctx, device, step.mask)
			if err != nil || changed != step.changed {
				t.Errorf("step %d: %s: %v, %v", i, device, changed, err)
			}
			wantRPS(t, fs, device, slices.Repeat([]CPUSet{step.mask}, queues)...)
		}
	}
	// The test's own tool sees the same.
	if _, err := fs.setRPS(ctx, "v1", one); err != nil {
		t.Fatal(err)
	}
	seen, err := parseCPUMask(s.sh("cat /sys/class/net/v1/queues/rx-0/rps_cpus"))
	if err != nil || seen != one {
		t.Errorf("%v, %v", seen, err)
	}
}

// A veth's end takes its mask along. That is why one can be set before Docker moves the device.
func TestRPSMovesWithDevice(t *testing.T) {
	host, inside := newSpace(t, "h"), newSpace(t, "c")
	_, one := someCPUs(t)
	host.ip("link add v0 type veth peer name v1")
	if _, err := host.sysfs().setRPS(context.Background(), "v1", one); err != nil {
		t.Fatal(err)
	}
	host.ip("link set v1 netns %s name eth0", inside.name)
	inside.ip("link set eth0 up")
	wantRPS(t, inside.sysfs(), "eth0", one)
	if changed, err := setRPSIn(context.Background(), inside.handle(), "eth0", CPUSet{}); !changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
	wantRPS(t, inside.sysfs(), "eth0", CPUSet{})
	wantRPS(t, host.sysfs(), "v0", CPUSet{})
}

func TestRPSOfNothing(t *testing.T) {
	s := newSpace(t, "h")
	fs := s.sysfs()
	if _, err := fs.setRPS(context.Background(), "v0", NewCPUSet(0)); !errors.Is(err, errNoLink) || !strings.Contains(err.Error(), "v0") {
		t.Error(err)
	}
	if _, err := fs.rps(context.Background(), "v0"); !errors.Is(err, errNoLink) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := fs.setRPS(ctx, "lo", CPUSet{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What the machine lacks is reported, and the rest is in force, again and again.
func TestRPSReduced(t *testing.T) {
	fs := newSpace(t, "h").sysfs()
	machine, err := ReadTopology("")
	if err != nil {
		t.Fatal(err)
	}
	_, one := someCPUs(t)
	ctx := context.Background()
	if _, err := fs.setRPS(ctx, "lo", one); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.setRPS(ctx, "lo", NewCPUSet(0, maxCPUs-1)); !errors.Is(err, ErrRPSReduced) {
		t.Errorf("CPU %d: %v", maxCPUs-1, err)
	}
	wantRPS(t, fs, "lo", one)
	offline := machine.Possible.Minus(machine.Online)
	if offline.IsEmpty() {
		return
	}
	for range 2 {
		if changed, err := fs.setRPS(ctx, "lo", one.Union(offline)); changed || !errors.Is(err, ErrRPSReduced) {
			t.Errorf("offline %v: %v, %v", offline, changed, err)
		}
		wantRPS(t, fs, "lo", one)
	}
}

// Container runtimes mount a container's sysfs read-only, and with it any other of the same namespace.
func TestRPSWhereSysfsIsReadOnly(t *testing.T) {
	s := newSpace(t, "c")
	_, one := someCPUs(t)
	mounted := sleepingRuntime(t, s)
	if err := os.WriteFile(filepath.Join(mounted, "class/net/lo/queues/rx-0/rps_cpus"), []byte("1"), 0); !errors.Is(err, unix.EROFS) {
		t.Fatalf("the test's own mount is not read-only: %v", err)
	}
	for _, step := range []struct {
		mask    CPUSet
		changed bool
	}{{one, true}, {one, false}, {CPUSet{}, true}} {
		changed, err := setRPSIn(context.Background(), s.handle(), "lo", step.mask)
		if err != nil || changed != step.changed {
			t.Fatalf("%v: %v, %v", step.mask, changed, err)
		}
		wantRPS(t, s.sysfs(), "lo", step.mask)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(s.sysfs().root, &fs); err != nil || fs.Flags&unix.ST_RDONLY == 0 {
		t.Errorf("the filesystem does not become read-only again: %#x, %v", fs.Flags, err)
	}
}

// sleepingRuntime keeps a sysfs mounted as a container runtime does, and gives a path to it.
func sleepingRuntime(t *testing.T, s *space) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "mount", "-t", "tmpfs", "tmpfs", dir)
	t.Cleanup(func() { run(t, "umount", "-R", dir) })
	run(t, "mount", "--make-private", dir)
	at := filepath.Join(dir, "sys")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "nsenter", "--net="+s.path(), "mount", "-t", "sysfs", "-o", "ro", "sysfs", at)
	return at
}

// An open sysfs does not hold the namespace: when that is deleted, its devices go.
func TestSysfsDoesNotKeepNamespace(t *testing.T) {
	host, inside := newSpace(t, "h"), newSpace(t, "c")
	host.ip("link add v0 type veth peer name v1 netns %s", inside.name)
	ns, err := netns.GetFromPath(inside.path())
	if err != nil {
		t.Fatal(err)
	}
	fs, err := openSysfs(ns)
	if err != nil {
		t.Fatal(errors.Join(err, ns.Close()))
	}
	defer fs.close()
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	wantRPS(t, fs, "v1", CPUSet{})
	inside.remove()
	for range 1000 { // the kernel takes namespaces down in the background
		if !strings.Contains(host.ip("link"), "v0") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if links := host.ip("link"); strings.Contains(links, "v0") {
		t.Errorf("the namespace is still there:\n%s", links)
	}
	if _, err := fs.setRPS(context.Background(), "v1", NewCPUSet(0)); !errors.Is(err, errNoLink) {
		t.Error(err)
	}
}

func TestSysfsCache(t *testing.T) {
	s := newSpace(t, "h")
	var c sysfsCache
	first, err := c.open(s.handle())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.open(s.handle()); err != nil || again != first {
		t.Errorf("%v, %v", again, err)
	}
	for range 2 {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkSetRPS(b *testing.B) {
	s := newSpace(b, "h")
	_, one := someCPUs(b)
	ctx := context.Background()
	fs, ns := s.sysfs(), s.handle()
	for name, set := range map[string]func(mask CPUSet) (bool, error){
		"kept":    func(CPUSet) (bool, error) { return fs.setRPS(ctx, "lo", CPUSet{}) },
		"changed": func(m CPUSet) (bool, error) { return fs.setRPS(ctx, "lo", m) },
		"ad hoc":  func(m CPUSet) (bool, error) { return setRPSIn(ctx, ns, "lo", m) },
	} {
		b.Run(name, func(b *testing.B) {
			mask := one
			for b.Loop() {
				if _, err := set(mask); err != nil {
					b.Fatal(err)
				}
				mask = one.Minus(mask)
			}
			if _, err := fs.setRPS(ctx, "lo", CPUSet{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
