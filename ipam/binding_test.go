package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"falcon/store"
)

func TestBind(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	four, six := poolID(t, "web#10.1.0.0/24"), poolID(t, "web#fd00::/64")
	for _, id := range []PoolID{four, six, poolID(t, "@a#10.1.0.0/24")} {
		if err := a.RequestPool(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // Docker gives the gateway's address with the length of the subnet in places
		if err := a.Bind(t.Context(), LocalSpace, "web", netip.MustParsePrefix("10.1.0.1/24"), six.Prefix, four.Prefix); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []PoolID{four, six} {
		pool := read[store.Pool](t, s, id.key().pool()).value
		if pool.Network != "web" || !slices.Equal(pool.Bound, []string{"a"}) {
			t.Errorf("%s: got %+v", id, pool)
		}
	}
	if pool := read[store.Pool](t, s, store.PoolKey("@a", four.Prefix)).value; len(pool.Bound) > 0 {
		t.Errorf("the pool without a name was bound: %+v", pool)
	}

	if err := a.Bind(t.Context(), LocalSpace, "n1", four.Prefix); err != nil {
		t.Fatalf("the pool without a name: %v", err)
	}
	err := a.Bind(t.Context(), LocalSpace, "n2", four.Prefix)
	for _, want := range []string{"10.1.0.0/24", "n1", "--subnet", "--ipam-opt"} {
		if !errors.Is(err, ErrOverlap) || !strings.Contains(err.Error(), want) {
			t.Errorf("a second network: got %v, want it to say %s", err, want)
		}
	}

	err = b.Bind(t.Context(), LocalSpace, "web", four.Prefix)
	for _, want := range []string{"10.1.0.0/24", "web", "@b", "-o falcon.network=NAME --ipam-opt falcon.network=NAME"} {
		if !errors.Is(err, ErrNoPool) || !strings.Contains(err.Error(), want) {
			t.Errorf("not requested: got %v, want it to say %s", err, want)
		}
	}
	if err := a.Bind(t.Context(), "LocalDefault", "web", four.Prefix); !errors.Is(err, ErrInput) {
		t.Errorf("foreign address space: got %v", err)
	}
	if err := a.Bind(t.Context(), GlobalSpace, "web"); err != nil {
		t.Errorf("no subnets: got %v", err)
	}
	if IsOurs("LocalDefault") || !IsOurs(LocalSpace) || !IsOurs(GlobalSpace) {
		t.Error("IsOurs is wrong")
	}
}

func TestBindIsAllOrNothing(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := a.Bind(t.Context(), LocalSpace, "web", id.Prefix, prefix("fd00::/64")); !errors.Is(err, ErrNoPool) {
		t.Fatalf("got %v", err)
	}
	if pool := read[store.Pool](t, s, id.key().pool()).value; len(pool.Bound) > 0 {
		t.Errorf("got %+v", pool)
	}
}

// Docker releases a network's addresses and pools before it deletes the network.
func TestUnbindReleases(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	for _, p := range []*Pools{a, b} {
		must(t, p, id, netip.Addr{}, ForGateway)
		if err := p.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
			t.Fatal(err)
		}
	}
	deleteNetwork := func(p *Pools) {
		t.Helper()
		for _, step := range []func() error{
			func() error { return p.ReleaseAddress(t.Context(), id, addr("10.1.0.1")) },
			func() error { return p.ReleasePool(t.Context(), id) },
			func() error { return p.Unbind(t.Context(), "web") },
			func() error { return p.Unbind(t.Context(), "web") },
			func() error { return p.ReleaseAddress(t.Context(), id, addr("10.1.0.1")) },
			func() error { return p.ReleasePool(t.Context(), id) },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	deleteNetwork(a)
	pool := read[store.Pool](t, s, id.key().pool()).value
	if !slices.Equal(pool.Hosts, []string{"b"}) || !slices.Equal(pool.Bound, []string{"b"}) || pool.Network != "web" {
		t.Errorf("got %+v", pool)
	}
	deleteNetwork(b)
	if len(s.records) != 0 {
		t.Errorf("left: %v", s.records)
	}
}

// A host without the network may go on using the pool when the last network on it is gone.
func TestUnbindLeavesOtherUsers(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	must(t, b, id, netip.Addr{}, Unstated)
	must(t, a, id, netip.Addr{}, Unstated)
	if err := a.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
		t.Fatal(err)
	}
	if err := a.Unbind(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	pool := read[store.Pool](t, s, id.key().pool()).value
	if !slices.Equal(pool.Hosts, []string{"b"}) || len(pool.Bound) > 0 || pool.Network != "" {
		t.Errorf("got %+v", pool)
	}
	if !read[store.Address](t, s, id.key().address(addr("10.1.0.1"))).exists() {
		t.Error("b lost its address")
	}
}

// A second Docker network that wants the same pool fails; what Docker then releases stays.
func TestFailedCreationReleasesNothing(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "@a#10.1.0.0/24")
	for range 2 {
		must(t, a, id, netip.Addr{}, ForGateway)
	}
	if err := a.Bind(t.Context(), LocalSpace, "n1", id.Prefix); err != nil {
		t.Fatal(err)
	}
	if err := a.Bind(t.Context(), LocalSpace, "n2", id.Prefix); !errors.Is(err, ErrOverlap) {
		t.Fatalf("got %v", err)
	}
	if err := errors.Join(a.ReleaseAddress(t.Context(), id, addr("10.1.0.1")), a.ReleasePool(t.Context(), id), a.Unbind(t.Context(), "n2")); err != nil {
		t.Fatal(err)
	}
	pool := read[store.Pool](t, s, id.key().pool()).value
	if pool.Network != "n1" || !read[store.Address](t, s, id.key().address(addr("10.1.0.1"))).exists() {
		t.Errorf("got %+v", pool)
	}
}

func TestKindOf(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "@a#10.1.0.0/24")
	must(t, a, id, addr("10.1.0.1"), ForGateway)
	if err := a.Bind(t.Context(), LocalSpace, "n1", id.Prefix); err != nil {
		t.Fatal(err)
	}
	must(t, a, id, addr("10.1.0.2"), Unstated)
	for _, tt := range []struct{ network, address, want string }{
		{"n1", "10.1.0.1/24", store.KindGateway},
		{"n1", "10.1.0.2/24", store.KindEndpoint},
		{"n1", "10.1.0.3/24", ""},
		{"n2", "10.1.0.1/24", ""},
		{"n1", "10.2.0.1/24", ""},
	} {
		if got, err := a.KindOf(t.Context(), tt.network, netip.MustParsePrefix(tt.address)); got != tt.want || err != nil {
			t.Errorf("%s of %s: got %q, %v, want %q", tt.address, tt.network, got, err, tt.want)
		}
	}
}

func TestCollect(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	for _, p := range []*Pools{a, b} {
		must(t, p, id, netip.Addr{}, ForGateway)
		must(t, p, id, addr("10.1.0.200"), Unstated)
		if err := p.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
			t.Fatal(err)
		}
	}
	take := func(p *Pools) netip.Addr { return must(t, p, id, netip.Addr{}, Unstated).Addr() }
	live, leaked, replayed, foreign := take(a), take(a), take(a), take(b)
	put(t, s, store.AddressClaimKey("web", live), store.Claim{Endpoint: "e1", Host: "a"})
	c.advance(time.Hour)
	young := take(a)
	must(t, a, id, replayed, Unstated)

	if n, err := a.Collect(t.Context(), "other", time.Minute, c.now()); n != 0 || err != nil {
		t.Errorf("another network: got %d, %v", n, err)
	}
	for _, want := range []int{1, 0} {
		if n, err := a.Collect(t.Context(), "web", time.Minute, c.now()); n != want || err != nil {
			t.Errorf("got %d, %v, want %d", n, err, want)
		}
	}
	for address, want := range map[netip.Addr]bool{
		live: true, leaked: false, replayed: true, foreign: true, young: true,
		addr("10.1.0.1"): true, addr("10.1.0.200"): true,
	} {
		if got := read[store.Address](t, s, id.key().address(address)).exists(); got != want {
			t.Errorf("%s: exists is %v", address, got)
		}
	}
}

// An address is granted again in the moment in which it is collected.
func TestCollectRace(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := a.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
		t.Fatal(err)
	}
	one := must(t, a, id, netip.Addr{}, Unstated).Addr()
	later := c.advance(time.Hour)
	s.meanwhile(func() { must(t, a, id, one, Unstated) })
	if n, err := a.Collect(t.Context(), "web", time.Minute, later); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if !read[store.Address](t, s, id.key().address(one)).exists() {
		t.Error("collected an address that was granted again")
	}
}

func TestCollectPools(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	bound, used, leaked, named := poolID(t, "web#10.1.0.0/24"), poolID(t, "@a#10.2.0.0/24"), poolID(t, "@a#10.3.0.0/24"), poolID(t, "db#10.2.0.0/24")
	swarm, foreign := poolID(t, "@global#10.4.0.0/24"), poolID(t, "@b#10.5.0.0/24")
	for _, id := range []PoolID{bound, used, leaked, named, swarm} {
		must(t, a, id, netip.Addr{}, ForGateway)
	}
	must(t, b, foreign, netip.Addr{}, ForGateway)
	must(t, b, named, netip.Addr{}, ForGateway)
	if err := a.Bind(t.Context(), LocalSpace, "web", bound.Prefix); err != nil {
		t.Fatal(err)
	}
	inUse := func(p netip.Prefix, name string) bool { return p == used.Prefix && name == "" }
	collect := func(p *Pools, want int) {
		t.Helper()
		if n, err := p.CollectPools(t.Context(), inUse, time.Minute, c.now()); n != want || err != nil {
			t.Errorf("got %d, %v, want %d", n, err, want)
		}
	}
	collect(a, 0)
	c.advance(time.Hour)
	restarted := host(t, s, "a", c)
	collect(restarted, 0) // it cannot know when Docker requested them
	if err := a.RequestPool(t.Context(), leaked); err != nil {
		t.Fatal(err)
	}
	collect(a, 1) // named
	c.advance(time.Hour)
	collect(a, 1) // leaked
	collect(restarted, 0)
	for _, id := range []PoolID{bound, used, swarm, foreign, named} {
		if !read[store.Pool](t, s, id.key().pool()).exists() {
			t.Errorf("%s was collected", id)
		}
	}
	if pool := read[store.Pool](t, s, named.key().pool()).value; !slices.Equal(pool.Hosts, []string{"b"}) {
		t.Errorf("got %+v", pool)
	}
	if read[store.Pool](t, s, leaked.key().pool()).exists() {
		t.Error("the leaked pool is left")
	}
}
