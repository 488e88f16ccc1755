package datapath

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// What comes must go: links, forwarding entries, neighbours, qdiscs and rules are as before.
func TestNothingIsLeft(t *testing.T) {
	ctx := context.Background()
	h := lone(t)
	n := h.network(labVNI)
	keeper := h.network(labVNI + 1)
	h.ensureNetwork(keeper)
	h.ensureEndpoint(endpointN(keeper.VNI, 9))
	before := h.fullList()

	h.ensureNetwork(n)
	e, far := endpointN(labVNI, 1), endpointN(labVNI, 2)
	h.ensureEndpoint(e)
	inside := h.fullList()
	r := remoteOf(far, mustAddr("192.0.2.9"))
	for range 2 {
		if err := errors.Join(h.AddFlood(ctx, n, r.Host), h.AddRemote(ctx, n, r)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"00:00:00:00:00:00 dev fvx-42 dst 192.0.2.9 self permanent",
		"02:42:0a:00:00:02 dev fvx-42 dst 192.0.2.9 self permanent", "02:42:0a:00:00:02 dev fvx-42 master fbr-42 static"} {
		if strings.Count(h.sh("bridge fdb"), want) != 1 {
			t.Errorf("not there once: %s", want)
		}
	}
	for range 2 {
		if err := errors.Join(h.RemoveRemote(ctx, n, r), h.RemoveFlood(ctx, n, r.Host)); err != nil {
			t.Fatal(err)
		}
	}
	unchanged(t, inside, h.fullList())
	h.ensureEndpoint(endpointN(labVNI, 3))
	for range 2 {
		if err := h.RemoveEndpoint(ctx, endpointN(labVNI, 3).ID); err != nil {
			t.Fatal(err)
		}
	}
	unchanged(t, inside, h.fullList())
	for range 2 {
		if err := errors.Join(h.RemoveEndpoint(ctx, e.ID), h.RemoveNetwork(ctx, labVNI)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.RemoveRemote(ctx, n, r), h.RemoveFlood(ctx, n, r.Host)); err != nil {
			t.Error(err)
		}
	}
	unchanged(t, before, h.fullList())
}

func (h *labHost) tables(n Network) tables {
	h.t.Helper()
	dev, err := h.devices(context.Background(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	have, err := h.haveTables(context.Background(), dev)
	if err != nil {
		h.t.Fatal(err)
	}
	return have
}

// An endpoint that moves between hosts, and an address that moves between endpoints, are in one place at a time;
// late news of where they were does no harm.
func TestMoves(t *testing.T) {
	ctx := context.Background()
	h := lone(t)
	n := h.network(labVNI)
	h.ensureNetwork(n)
	e := endpointN(labVNI, 2)
	hostB, hostC := mustAddr("192.0.2.2"), mustAddr("192.0.2.3")
	atB, atC := remoteOf(e, hostB), remoteOf(e, hostC)
	if err := errors.Join(h.AddRemote(ctx, n, atB), h.AddRemote(ctx, n, atC), h.RemoveRemote(ctx, n, Remote{MAC: e.MAC, Host: hostB})); err != nil {
		t.Fatal(err)
	}
	if have := h.tables(n).vteps; len(have) != 1 || !contains(have, vtep{e.MAC, hostC}) {
		t.Errorf("after the move: %v", have)
	}

	other := endpointN(labVNI, 5)
	taker := Remote{MAC: other.MAC, Host: hostB, Addresses: atC.Addresses}
	if err := errors.Join(h.AddRemote(ctx, n, taker), h.RemoveRemote(ctx, n, atC)); err != nil {
		t.Fatal(err)
	}
	have := h.tables(n)
	for _, a := range atC.Addresses {
		if have.neighs[a] != other.MAC {
			t.Errorf("%s is at %s", a, have.neighs[a])
		}
	}
	if len(have.vteps) != 1 || len(have.ports) != 1 {
		t.Errorf("after the second: %+v", have)
	}

	// It comes here: from the vxlan port to a veth.
	local := other
	local.Addresses = e.Addresses
	h.ensureEndpoint(local)
	if err := h.RemoveRemote(ctx, n, taker); err != nil {
		t.Fatal(err)
	}
	// The addresses did point to this MAC, so they are gone; the next sync or ensure has them back.
	h.ensureEndpoint(local)
	have = h.tables(n)
	if port, err := h.rt.linkByName(ctx, hostDevice(local.ID)); err != nil || have.ports[local.MAC] != port.index || len(have.vteps) != 0 {
		t.Errorf("after it came here: %+v, %v", have, err)
	}
}

func contains[K comparable](m map[K]struct{}, k K) bool {
	_, ok := m[k]
	return ok
}

// Whatever the tables were, one sync makes them what they should be, and a second finds nothing to do.
func TestSyncFromAnyState(t *testing.T) {
	h := lone(t)
	n := h.network(labVNI)
	h.ensureNetwork(n)
	f := Forwarding{Local: map[string]Endpoint{}, Remote: map[string]Remote{}}
	for i := 1; i <= 3; i++ {
		e := endpointN(labVNI, i)
		h.ensureEndpoint(e)
		f.Local[e.ID] = e
	}
	for i := 10; i < 30; i++ {
		e := endpointN(labVNI, i)
		f.Remote[e.ID] = remoteOf(e, mustAddr(fmt.Sprintf("192.0.2.%d", 2+i%3)))
	}
	f.Flood = []netip.Addr{mustAddr("192.0.2.2"), mustAddr("192.0.2.3"), mustAddr("192.0.2.4")}
	c := h.sync(n, f)
	if want := 20 + 3 + 20 + 2*20; c.Added != want || c.Removed != 0 { // vteps, flood, ports, neighbours
		t.Errorf("first: %+v, want %d", c, want)
	}
	if c := h.sync(n, f); c != (Change{}) {
		t.Errorf("idle: %+v", c)
	}
	// Half of them go, the others move on by one host.
	for id, r := range f.Remote {
		if r.MAC[5]%2 == 0 {
			delete(f.Remote, id)
			continue
		}
		r.Host = r.Host.Next()
		f.Remote[id] = r
	}
	f.Flood = f.Flood[1:]
	if c = h.sync(n, f); c.Added != 10 {
		t.Errorf("half: %+v", c)
	}
	if c := h.sync(n, f); c != (Change{}) {
		t.Errorf("idle after half: %+v", c)
	}
	if have := h.tables(n); len(have.vteps) != 10+2 || len(have.ports) != 10+3 || len(have.neighs) != 2*(10+3) {
		t.Errorf("%d vteps, %d ports, %d neighbours", len(have.vteps), len(have.ports), len(have.neighs))
	}
	if c := h.sync(n, Forwarding{}); c.Added != 0 {
		t.Errorf("empty: %+v", c)
	}
	if have := h.tables(n); len(have.vteps)+len(have.ports)+len(have.neighs) != 0 {
		t.Errorf("left: %+v", have)
	}
}

// Two endpoints that claim the same must not make every sync flap.
func TestRivalsAreSettledAlways(t *testing.T) {
	a, b, local := endpointN(1, 1), endpointN(1, 2), endpointN(1, 3)
	b.Addresses, local.MAC = a.Addresses, a.MAC
	f := Forwarding{
		Local:  map[string]Endpoint{local.ID: local},
		Remote: map[string]Remote{a.ID: remoteOf(a, mustAddr("192.0.2.2")), b.ID: remoteOf(b, mustAddr("192.0.2.3"))},
	}
	for range 50 {
		got := wantTables(f, devices{1, 2}, map[string]int{local.ID: 7})
		if got.ports[a.MAC] != 7 || contains(got.vteps, vtep{a.MAC, mustAddr("192.0.2.2")}) {
			t.Fatalf("a remote endpoint won over a local one: %+v", got)
		}
		if got.neighs[a.Addresses[0].Addr()] != a.MAC {
			t.Fatalf("the second ID won: %+v", got)
		}
	}
}

func TestOwned(t *testing.T) {
	ctx := context.Background()
	h := lone(t)
	h.ip("link add fbr-9 type bridge")
	h.ip("link add x alias falcon type bridge")
	for _, vni := range []VNI{42, 7} {
		h.ensureNetwork(h.network(vni))
	}
	e := endpointN(7, 1)
	h.ensureEndpoint(e)
	h.ip("link del fvx-42")
	got, err := h.Owned(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wantNetworks := []OwnedNetwork{{"net7", 7, "fbr-7", "fvx-7"}, {"net42", 42, "fbr-42", ""}}
	wantEndpoints := []OwnedEndpoint{{e.ID, "net7", hostDevice(e.ID)}}
	if !slices.Equal(got.Networks, wantNetworks) || !slices.Equal(got.Endpoints, wantEndpoints) {
		t.Errorf("%+v", got)
	}
}
