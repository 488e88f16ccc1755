package ipam

import (
	"errors"
	"net/netip"
	"testing"

	"falcon/store"
)

// What these tests have in common: something happens between what a request reads and what it commits.

func TestPoolGoesWhileAddressIsTaken(t *testing.T) {
	s := newMemory()
	a := host(t, s, "a", newClock())
	id := poolID(t, "web#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.meanwhile(func() {
		if err := a.ReleasePool(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
	got := must(t, a, id, netip.Addr{}, Unstated)
	if !read[store.Pool](t, s, id.key().pool()).exists() {
		t.Errorf("%s is of a pool that does not exist", got)
	}
}

func TestNetworkIsBoundWhileAddressIsTaken(t *testing.T) {
	s := newMemory()
	a := host(t, s, "a", newClock())
	id := poolID(t, "web#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.meanwhile(func() { bind(t, a, id) })
	got := must(t, a, id, addr("10.1.0.5"), Unstated)
	if kind := read[store.Address](t, s, id.key().address(got.Addr())).value.Kind; kind != store.KindEndpoint {
		t.Errorf("got an address for an %s", kind)
	}
}

func bind(t *testing.T, p *Pools, id PoolID) {
	t.Helper()
	if err := p.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
		t.Error(err)
	}
}

func TestNetworkIsBoundWhileGatewayIsReleased(t *testing.T) {
	s := newMemory()
	a := host(t, s, "a", newClock())
	id := poolID(t, "web#10.1.0.0/24")
	gateway := must(t, a, id, netip.Addr{}, ForGateway).Addr()
	s.meanwhile(func() { bind(t, a, id) })
	if err := a.ReleaseAddress(t.Context(), id, gateway); err != nil {
		t.Fatal(err)
	}
	if !read[store.Address](t, s, id.key().address(gateway)).exists() {
		t.Error("a running network lost its gateway")
	}
}

func TestNetworkIsBoundWhilePoolIsReleased(t *testing.T) {
	s := newMemory()
	a := host(t, s, "a", newClock())
	id := poolID(t, "web#10.1.0.0/16")
	for range 2 * maxWrites {
		must(t, a, id, netip.Addr{}, Unstated)
	}
	s.meanwhile(func() { bind(t, a, id) })
	if err := a.ReleasePool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	addresses, err := a.addresses(t.Context(), id.key())
	if err != nil || len(addresses) != 2*maxWrites {
		t.Errorf("a running network has %d addresses left, %v", len(addresses), err)
	}
}

func TestAnotherDefaultIsChosenMeanwhile(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	var other PoolID
	s.meanwhile(func() {
		var err error
		if other, err = b.RequestDefaultPool(t.Context(), "db", false); err != nil {
			t.Error(err)
		}
	})
	got, err := a.RequestDefaultPool(t.Context(), "web", false)
	if err != nil || got.Prefix.Overlaps(other.Prefix) {
		t.Errorf("got %s and %s, %v", got, other, err)
	}
}

func TestPoolIsCreatedWhileDefaultIsChosen(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.0.0.0/8")
	s.meanwhile(func() {
		if err := b.RequestPool(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
	if got, err := a.RequestDefaultPool(t.Context(), "web", false); got != id || err != nil {
		t.Errorf("got %s, %v, want to join %s", got, err, id)
	}
}

func TestHostJoinsWhileAddressIsTaken(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.meanwhile(func() {
		if err := b.RequestPool(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
	if got := must(t, a, id, netip.Addr{}, Unstated); got.Addr() != addr("10.1.0.1") {
		t.Errorf("got %s: an address was passed over", got)
	}
}

// After a host has taken many addresses, another finds a free one in a few steps, not one by one.
func TestHintIsRefreshed(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	must(t, a, id, netip.Addr{}, Unstated)
	for range 100 {
		must(t, b, id, netip.Addr{}, Unstated)
	}
	s.commits = 0
	if got := must(t, a, id, netip.Addr{}, Unstated); got.Addr() != addr("10.1.0.102") || s.commits > maxConflicts+2 {
		t.Errorf("got %s in %d commits", got, s.commits)
	}
}

func TestHintKnowsOwnReleases(t *testing.T) {
	s := newMemory()
	a := host(t, s, "a", newClock())
	id := poolID(t, "web#10.1.0.0/29")
	for range 6 {
		must(t, a, id, netip.Addr{}, Unstated)
	}
	s.lists = 0
	for range 10 {
		if err := a.ReleaseAddress(t.Context(), id, addr("10.1.0.3")); err != nil {
			t.Fatal(err)
		}
		must(t, a, id, netip.Addr{}, Unstated)
	}
	if s.lists > 0 {
		t.Errorf("took %d lists", s.lists)
	}
}

// A pool changes hands between Unbind's two looks at it.
func TestPoolIsReboundWhileUnbound(t *testing.T) {
	s := newMemory()
	a := host(t, s, "a", newClock())
	id := poolID(t, "@a#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := a.Bind(t.Context(), LocalSpace, "n1", id.Prefix); err != nil {
		t.Fatal(err)
	}
	s.meanwhile(func() {
		err := errors.Join(a.Unbind(t.Context(), "n1"), a.RequestPool(t.Context(), id), a.Bind(t.Context(), LocalSpace, "n2", id.Prefix))
		if err != nil {
			t.Error(err)
		}
	})
	if err := a.Unbind(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if pool := read[store.Pool](t, s, id.key().pool()).value; pool.Network != "n2" {
		t.Errorf("got %+v", pool)
	}
}
