package datapath

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"golang.org/x/sys/unix"
)

// troubled is a host whose maps cannot be pinned where they should be.
type troubled struct {
	*space
	*Datapath
	pins string
	log  *test.Hook
}

func newTroubled(t *testing.T, pins string) *troubled {
	t.Helper()
	s := newSpace(t, "host")
	s.ip("link add u0 mtu 1600 type veth peer name u1")
	s.ip("addr add 192.0.2.1/24 dev u0")
	s.ip("link set u1 up")
	s.ip("link set u0 up")
	log, hook := test.NewNullLogger()
	d, err := Open(Config{Netns: s.path(), Steering: SteeringConfig{Pins: pins, Port: 4789, Expected: true}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &troubled{s, d, pins, hook}
}

// balance runs the daemon's task for a moment.
func (h *troubled) balance(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	if err := h.Balance(ctx); err != nil {
		t.Error(err)
	}
}

// reconcile makes two networks, as the daemon does again and again.
func (h *troubled) reconcile(t *testing.T, mode Mode) {
	t.Helper()
	for range 2 {
		for vni := range VNI(2) {
			n := Network{Name: "net" + string('a'+rune(vni)), VNI: 70 + vni, MTU: 1500, Local: mustAddr("192.0.2.1"), Port: 4789, Steering: mode}
			n.Device = h.device("u0")
			if _, err := h.EnsureNetwork(context.Background(), n); err != nil {
				t.Fatalf("a network needs no steering: %v", err)
			}
		}
	}
}

func (h *troubled) warnings() (list []string) {
	for _, e := range h.log.AllEntries() {
		if e.Level <= logrus.WarnLevel {
			list = append(list, e.Message)
		}
	}
	return list
}

// readOnlyBPFFS is one that nothing can be pinned in.
func readOnlyBPFFS(t *testing.T) string {
	t.Helper()
	dir := bpffs(t)
	remount(t, dir, unix.MS_RDONLY)
	return dir
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		t.Fatal(err)
	}
}

// Where programs cannot be had, networks are made nevertheless, and the daemon says so once, from its start.
func TestSteerWithoutPins(t *testing.T) {
	requireRoot(t)
	for name, c := range map[string]struct {
		dir  string
		want string
	}{
		"read-only bpffs": {readOnlyBPFFS(t), "read-only file system: mount -o remount,rw "},
		"no bpffs":        {t.TempDir(), "is not in a bpffs: mount -t bpf bpf "},
	} {
		t.Run(name, func(t *testing.T) {
			pins := filepath.Join(c.dir, "falcon")
			h := newTroubled(t, pins)
			h.balance(t)
			want := c.want + c.dir
			if got := h.SteeringStatus(context.Background()).Problems; len(got) != 1 || !strings.Contains(got[problemPrograms], want) {
				t.Errorf("at the start: %q", got)
			}
			h.reconcile(t, Dynamic)
			h.balance(t)
			got := h.SteeringStatus(context.Background()).Problems
			for _, what := range []string{problemPrograms, "network neta", "network netb"} {
				if !strings.Contains(got[what], want) {
					t.Errorf("%s: %q is not in %q", what, want, got[what])
				}
			}
			if w := h.warnings(); len(w) != 1 || !strings.Contains(w[0], "not steered") {
				t.Errorf("warnings: %q", w)
			}
			if _, err := os.Stat(pins); !os.IsNotExist(err) {
				t.Errorf("left %s: %v", pins, err)
			}
		})
	}
}

// Steering begins by itself once it can, and without a word where nobody wants it.
func TestSteerWithPinsAgain(t *testing.T) {
	requireRoot(t)
	dir := readOnlyBPFFS(t)
	h := newTroubled(t, filepath.Join(dir, "falcon"))
	h.reconcile(t, Off)
	if w := h.warnings(); len(w) > 0 {
		t.Errorf("nothing is steered, and yet: %q", w)
	}
	h.reconcile(t, Static)
	if got := h.SteeringStatus(context.Background()).Problems; len(got) != 2 {
		t.Errorf("while it is read-only: %q", got)
	}
	remount(t, dir, 0)
	h.reconcile(t, Static)
	if s := h.SteeringStatus(context.Background()); len(s.Problems) > 0 || s.CPUs == "" {
		t.Errorf("afterwards: %+v", s)
	}
	if w := h.warnings(); len(w) != 1 {
		t.Errorf("warnings: %q", w)
	}
}

// The start of a daemon that is to steer leaves nothing as long as there is no network.
func TestSteerBeforeNetworks(t *testing.T) {
	requireRoot(t)
	h := newTroubled(t, filepath.Join(bpffs(t), "falcon"))
	h.balance(t)
	if s := h.SteeringStatus(context.Background()); len(s.Problems) > 0 || s.CPUs != "" {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(h.pins); !os.IsNotExist(err) {
		t.Errorf("left pins: %v", err)
	}
}

// The programs can be loaded, but polls cannot be counted.
func TestSteerWithoutPolls(t *testing.T) {
	requireRoot(t)
	h := newTroubled(t, filepath.Join(bpffs(t), "falcon"))
	if err := os.MkdirAll(filepath.Join(h.pins, pollsPin, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.reconcile(t, Static)
	got := h.SteeringStatus(context.Background())
	if !strings.Contains(got.Problems["network neta"], "watch polls") || got.CPUs != "" {
		t.Errorf("%+v", got)
	}
	if w := h.warnings(); len(w) != 1 {
		t.Errorf("warnings: %q", w)
	}
}
