package driver

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"falcon/datapath"
	"falcon/store"
)

// fakeKernel is a Datapath in memory.
type fakeKernel struct {
	mu        sync.Mutex
	under     datapath.Underlay
	networks  map[datapath.VNI]datapath.Network
	endpoints map[string]datapath.Endpoint
	known     map[datapath.VNI]datapath.Forwarding
	strangers map[datapath.VNI]string
	gone      map[string]bool         // sandboxes
	fail      error                   // of the next changes, if set
	deleted   chan string             // devices that somebody deletes
	routes    chan netip.Prefix       // to where somebody changes a route
	steering  datapath.SteeringStatus // that it tells of
	split     bool
	traced    time.Duration
}

func newFakeKernel(address string) *fakeKernel {
	return &fakeKernel{
		under:     datapath.Underlay{Interface: "eth0", MTU: 1500, Address: netip.MustParseAddr(address), Up: true},
		networks:  map[datapath.VNI]datapath.Network{},
		endpoints: map[string]datapath.Endpoint{},
		known:     map[datapath.VNI]datapath.Forwarding{},
		strangers: map[datapath.VNI]string{},
		gone:      map[string]bool{},
		deleted:   make(chan string),
		routes:    make(chan netip.Prefix),
	}
}

// do runs one change unless the kernel was told to fail.
func (k *fakeKernel) do(change func()) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	change()
	return nil
}

func (k *fakeKernel) EnsureNetwork(_ context.Context, n datapath.Network) (datapath.Change, error) {
	return datapath.Change{}, k.do(func() { k.networks[n.VNI] = n })
}

func (k *fakeKernel) RemoveNetwork(_ context.Context, vni datapath.VNI) error {
	return k.do(func() { delete(k.networks, vni); delete(k.known, vni) })
}

func (k *fakeKernel) EnsureEndpoint(_ context.Context, e datapath.Endpoint) (datapath.Change, error) {
	return datapath.Change{}, k.do(func() { k.endpoints[e.ID] = e })
}

func (k *fakeKernel) RemoveEndpoint(_ context.Context, id string) error {
	return k.do(func() { delete(k.endpoints, id) })
}

func (k *fakeKernel) Owned(context.Context) (datapath.Owned, error) {
	var o datapath.Owned
	err := k.do(func() {
		for _, n := range k.networks {
			o.Networks = append(o.Networks, datapath.OwnedNetwork{Name: n.Name, VNI: n.VNI})
		}
		for _, e := range k.endpoints {
			o.Endpoints = append(o.Endpoints, datapath.OwnedEndpoint{ID: e.ID, Network: e.Network})
		}
	})
	return o, err
}

func (k *fakeKernel) RemoveUnfinished(context.Context) (int, error) { return 0, nil }

func (k *fakeKernel) AddRemote(_ context.Context, n datapath.Network, r datapath.Remote) error {
	return k.do(func() {
		f := k.forwarding(n.VNI)
		f.Remote[r.MAC.String()] = r
		k.known[n.VNI] = f
	})
}

func (k *fakeKernel) RemoveRemote(_ context.Context, n datapath.Network, r datapath.Remote) error {
	return k.do(func() { delete(k.forwarding(n.VNI).Remote, r.MAC.String()) })
}

// SyncForwarding keeps remotes by MAC, as the kernel does.
func (k *fakeKernel) SyncForwarding(_ context.Context, n datapath.Network, f datapath.Forwarding) (datapath.Change, error) {
	return datapath.Change{}, k.do(func() {
		byMAC := map[string]datapath.Remote{}
		for _, r := range f.Remote {
			byMAC[r.MAC.String()] = r
		}
		f.Remote = byMAC
		k.known[n.VNI] = f
	})
}

func (k *fakeKernel) forwarding(vni datapath.VNI) datapath.Forwarding {
	f, ok := k.known[vni]
	if !ok {
		f.Remote = map[string]datapath.Remote{}
	}
	return f
}

func (k *fakeKernel) Underlay(context.Context, string) (datapath.Underlay, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.under, nil
}

func (k *fakeKernel) TakenVNIs(context.Context, uint16) (map[datapath.VNI]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.strangers), nil
}

func (k *fakeKernel) EnsureHost(context.Context) (datapath.Change, error) {
	return datapath.Change{}, nil
}

func (k *fakeKernel) Watch(ctx context.Context, w datapath.Watcher) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case name := <-k.deleted:
			w.LinkGone(name)
		case to := <-k.routes:
			w.RouteChanged(to)
		}
	}
}

func (k *fakeKernel) Balance(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (k *fakeKernel) Split(on bool) { _ = k.do(func() { k.split = on }) }

func (k *fakeKernel) ShortcutStatus(context.Context) datapath.ShortcutStatus {
	return datapath.ShortcutStatus{}
}

func (k *fakeKernel) StartTrace(vni datapath.VNI, length time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.networks[vni].Shortcut {
		return datapath.ErrNotShortcut
	}
	k.traced = length
	return nil
}

func (k *fakeKernel) Trace() (datapath.Trace, error) {
	return datapath.Trace{Lost: uint64(k.traced / time.Second)}, nil
}

func (k *fakeKernel) EndTrace() error { return k.do(func() { k.traced = 0 }) }

func (k *fakeKernel) SteeringStatus(context.Context) datapath.SteeringStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.steering
}

func (k *fakeKernel) SandboxGone(path string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gone[path]
}

// remotes returns the MACs that a network's devices know on other hosts, with the host's address.
func (k *fakeKernel) remotes(vni uint32) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := map[string]string{}
	for _, r := range k.known[datapath.VNI(vni)].Remote {
		found[r.MAC.String()] = r.Host.String()
	}
	return found
}

func (k *fakeKernel) flood(vni uint32) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []string
	for _, a := range k.known[datapath.VNI(vni)].Flood {
		found = append(found, a.String())
	}
	slices.Sort(found)
	return found
}

func (k *fakeKernel) counts() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("%d networks, %d endpoints", len(k.networks), len(k.endpoints))
}

func (k *fakeKernel) setFail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

func (k *fakeKernel) setGone(path string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone[path] = true
}

// noPools stands for an IPAM driver that is not Falcon's.
type noPools struct{}

func (noPools) Bind(context.Context, string, string, ...netip.Prefix) error  { return nil }
func (noPools) KindOf(context.Context, string, netip.Prefix) (string, error) { return "", nil }
func (noPools) Unbind(context.Context, string) error                         { return nil }
func (noPools) Collect(context.Context, string, time.Duration, time.Time) (int, error) {
	return 0, nil
}
func (noPools) CollectPools(context.Context, func(netip.Prefix, string) bool, time.Duration, time.Time) (int, error) {
	return 0, nil
}

// fakeEngine is Docker, as far as the collector asks it.
type fakeEngine struct {
	mu       sync.Mutex
	networks []EngineNetwork
	err      error
}

func (e *fakeEngine) Networks(context.Context) ([]EngineNetwork, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.networks), e.err
}

func quietLog(t testing.TB) *logrus.Logger {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

func openBolt(t testing.TB) store.Store {
	t.Helper()
	s, err := store.OpenBolt(t.Context(), filepath.Join(t.TempDir(), "falcon.db"), quietLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// host is a driver over a fake kernel.
type host struct {
	*Driver
	kernel *fakeKernel
	engine *fakeEngine
}

// newHost starts a driver; several over one store are a cluster.
func newHost(t testing.TB, s store.Store, id, address string) host {
	t.Helper()
	h := idleHost(t, s, id, address)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("driver of %s: %v", id, err)
		}
	})
	select {
	case <-h.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("driver is not ready")
	}
	return h
}

// idleHost has a driver that does not run.
func idleHost(t testing.TB, s store.Store, id, address string) host {
	t.Helper()
	h := host{kernel: newFakeKernel(address), engine: &fakeEngine{}}
	d, err := New(t.Context(), Config{
		HostID: id, HostName: "host-" + id, Version: "test", Store: s, Datapath: h.kernel, Pools: noPools{},
		Engine: h.engine, Port: 4789, Log: quietLog(t), Interval: time.Hour, Grace: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Driver = d
	return h
}

// eventually polls a condition that another goroutine brings about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
