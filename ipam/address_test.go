package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"falcon/store"
)

func TestRequestAddress(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	for _, tt := range []struct {
		id   string
		a    string
		use  Use
		want string
	}{
		{"web#10.1.0.0/24#10.1.0.128/25", "", Unstated, "10.1.0.128/24"},
		{"web#10.1.0.0/24#10.1.0.128/25", "", Unstated, "10.1.0.129/24"},
		{"web#10.1.0.0/24#10.1.0.128/25", "", ForGateway, "10.1.0.1/24"},
		{"web#10.1.0.0/24", "", Unstated, "10.1.0.130/24"},
		{"web#10.1.0.0/24", "10.1.0.7", Unstated, "10.1.0.7/24"},
		{"web#fd00::/64", "", Unstated, "fd00::1/64"},
		{"web#fd00::/64", "", ForGateway, "fd00::2/64"},
		{"web#fd00::/64", "fd00::ffff:ffff:ffff:ffff", ForEndpoint, "fd00::ffff:ffff:ffff:ffff/64"},
		{"web#10.2.0.0/31", "", ForGateway, "10.2.0.0/31"},
		{"web#10.2.0.0/31", "", Unstated, "10.2.0.1/31"},
	} {
		var given netip.Addr
		if tt.a != "" {
			given = addr(tt.a)
		}
		if got := must(t, a, poolID(t, tt.id), given, tt.use); got != netip.MustParsePrefix(tt.want) {
			t.Errorf("%s %q: got %s, want %s", tt.id, tt.a, got, tt.want)
		}
	}
	_, err := a.RequestAddress(t.Context(), poolID(t, "web#10.2.0.0/31"), netip.Addr{}, Unstated)
	if !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), "10.2.0.0/31") {
		t.Errorf("full: got %v", err)
	}
	_, err = a.RequestAddress(t.Context(), poolID(t, "web#10.2.0.0/31"), netip.Addr{}, ForGateway)
	if err != nil {
		t.Errorf("gateway of a full pool: %v", err)
	}
	_, err = a.RequestAddress(t.Context(), PoolID{"web", prefix("10.1.0.0/24"), prefix("10.1.0.255/32")}, netip.Addr{}, Unstated)
	if !errors.Is(err, ErrExhausted) {
		t.Errorf("empty range: got %v", err)
	}
}

func TestRequestAddressIsRefused(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	for _, tt := range []struct{ id, a, says string }{
		{"web#10.1.0.0/24", "10.2.0.1", "outside"},
		{"web#10.1.0.0/24", "fd00::1", "outside"},
		{"web#10.1.0.0/24", "10.1.0.0", "subnet itself"},
		{"web#10.1.0.0/24", "10.1.0.255", "broadcast"},
		{"web#fd00::/64", "fd00::", "subnet itself"},
	} {
		id := poolID(t, tt.id)
		_, err := a.RequestAddress(t.Context(), id, addr(tt.a), Unstated)
		for _, want := range []string{"Address", tt.a, tt.says, id.Prefix.String()} {
			if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
				t.Errorf("request %s: got %v, want it to say %s", tt.a, err, want)
			}
		}
		if err := a.ReleaseAddress(t.Context(), id, addr(tt.a)); !errors.Is(err, ErrInput) {
			t.Errorf("release %s: got %v", tt.a, err)
		}
	}
	if len(s.records) != 0 {
		t.Errorf("left: %v", s.records)
	}
}

func TestEndpointIsExclusive(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	five := addr("10.1.0.5")
	must(t, a, id, five, ForEndpoint)
	c.advance(time.Hour)
	must(t, a, id, five, ForEndpoint) // a retry
	if got := read[store.Address](t, s, id.key().address(five)).value; !got.Created.Equal(c.now()) {
		t.Errorf("granted again, but dated %v", got.Created)
	}
	for _, use := range []Use{Unstated, ForEndpoint, ForGateway} {
		_, err := b.RequestAddress(t.Context(), id, five, use)
		if !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "10.1.0.5") || !strings.Contains(err.Error(), "host a") {
			t.Errorf("use %v: got %v, want ErrTaken with address and host", use, err)
		}
	}
	if err := b.ReleaseAddress(t.Context(), id, five); err != nil {
		t.Fatal(err)
	}
	if !read[store.Address](t, s, id.key().address(five)).exists() {
		t.Error("a host released another's address")
	}
	if err := a.ReleaseAddress(t.Context(), id, five); err != nil {
		t.Fatal(err)
	}
	must(t, b, id, five, ForEndpoint)
}

func TestSwarmShares(t *testing.T) {
	s, c := newMemory(), newClock()
	manager, worker := host(t, s, "m", c), host(t, s, "w", c)
	id := poolID(t, "@global#10.1.0.0/24")
	given := must(t, manager, id, netip.Addr{}, ForEndpoint).Addr()
	if err := worker.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := worker.Bind(t.Context(), GlobalSpace, "n1", id.Prefix); err != nil {
		t.Fatal(err)
	}
	must(t, worker, id, given, Unstated)
	put(t, s, store.AddressClaimKey("n1", given), store.Claim{Endpoint: "e", Host: "w"})
	if err := manager.ReleaseAddress(t.Context(), id, given); err != nil {
		t.Fatal(err)
	}
	got := read[store.Address](t, s, id.key().address(given)).value
	if !slices.Equal(got.Hosts, []string{"w"}) || got.Kind != store.KindEndpoint {
		t.Errorf("got %+v", got)
	}

	alone := must(t, manager, id, netip.Addr{}, ForEndpoint).Addr()
	put(t, s, store.AddressClaimKey("n1", alone), store.Claim{Endpoint: "e", Host: "w"})
	if err := manager.ReleaseAddress(t.Context(), id, alone); err != nil {
		t.Fatal(err)
	}
	if !read[store.Address](t, s, id.key().address(alone)).exists() {
		t.Error("the last holder freed an address that is in use")
	}
}

func TestGatewayIsShared(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id, part := poolID(t, "web#10.1.0.0/24"), poolID(t, "web#10.1.0.0/24#10.1.0.128/25")
	if got := must(t, a, id, addr("10.1.0.254"), ForGateway); got != netip.MustParsePrefix("10.1.0.254/24") {
		t.Errorf("got %s", got)
	}
	c.advance(time.Second)
	must(t, a, id, addr("10.1.0.100"), ForGateway)
	for range 2 {
		if got := must(t, b, part, netip.Addr{}, ForGateway); got != netip.MustParsePrefix("10.1.0.254/24") {
			t.Errorf("got %s, want the oldest gateway", got)
		}
	}
	if got := read[store.Address](t, s, id.key().address(addr("10.1.0.254"))).value; !slices.Equal(got.Hosts, []string{"a", "b"}) {
		t.Errorf("held by %v", got.Hosts)
	}
	if _, err := b.RequestAddress(t.Context(), id, addr("10.1.0.254"), ForEndpoint); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "gateway") {
		t.Errorf("got %v", err)
	}
}

// The first free address is taken for an endpoint in the moment in which a gateway is chosen.
func TestGatewayRace(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	for _, p := range []*Pools{a, b} {
		if err := p.RequestPool(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	s.meanwhile(func() { must(t, b, id, addr("10.1.0.1"), ForEndpoint) })
	if got := must(t, a, id, netip.Addr{}, ForGateway); got.Addr() != addr("10.1.0.2") {
		t.Errorf("got %s", got)
	}
}

func TestAuxiliary(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b, other := host(t, s, "a", c), host(t, s, "b", c), host(t, s, "c", c)
	id, aux := poolID(t, "web#10.1.0.0/24"), addr("10.1.0.9")
	for _, p := range []*Pools{a, b, other} {
		if err := p.RequestPool(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if p != other {
			must(t, p, id, aux, Unstated)
		}
		if err := p.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
			t.Fatal(err)
		}
	}
	if got := read[store.Address](t, s, id.key().address(aux)).value; got.Kind != store.KindAuxiliary || !slices.Equal(got.Hosts, []string{"a", "b"}) {
		t.Errorf("got %+v", got)
	}
	must(t, a, id, aux, Unstated) // a replay
	if kind, err := a.KindOf(t.Context(), "web", netip.MustParsePrefix("10.1.0.9/24")); kind != store.KindAuxiliary || err != nil {
		t.Errorf("got %q, %v", kind, err)
	}
	if _, err := a.RequestAddress(t.Context(), id, aux, ForEndpoint); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "auxiliary") {
		t.Errorf("an endpoint: got %v", err)
	}
	if _, err := other.RequestAddress(t.Context(), id, aux, Unstated); !errors.Is(err, ErrTaken) {
		t.Errorf("an endpoint of a host that has no such auxiliary address: got %v", err)
	}
	if err := a.ReleaseAddress(t.Context(), id, aux); err != nil {
		t.Fatal(err)
	}
	if got := read[store.Address](t, s, id.key().address(aux)).value; len(got.Hosts) != 2 {
		t.Errorf("released under a running network: %v", got.Hosts)
	}
}

func TestReleaseIsIgnoredWhileNeeded(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	gateway := must(t, a, id, netip.Addr{}, ForGateway).Addr()
	if err := a.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
		t.Fatal(err)
	}
	endpoint := must(t, a, id, netip.Addr{}, Unstated).Addr()
	claim := store.AddressClaimKey("web", endpoint)
	put(t, s, claim, store.Claim{Endpoint: "e1", Host: "a"})

	for _, tt := range []struct {
		address netip.Addr
		before  func()
		kept    bool
	}{
		{gateway, func() {}, true},
		{endpoint, func() {}, true},
		{endpoint, func() { put(t, s, claim, nil) }, false},
		{endpoint, func() {}, false},
	} {
		tt.before()
		if err := a.ReleaseAddress(t.Context(), id, tt.address); err != nil {
			t.Fatal(err)
		}
		if kept := read[store.Address](t, s, id.key().address(tt.address)).exists(); kept != tt.kept {
			t.Errorf("%s: kept is %v", tt.address, kept)
		}
	}
}

// An endpoint claims the address in the moment in which it is released.
func TestReleaseRace(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	if err := a.RequestPool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := a.Bind(t.Context(), LocalSpace, "web", id.Prefix); err != nil {
		t.Fatal(err)
	}
	endpoint := must(t, a, id, netip.Addr{}, Unstated).Addr()
	s.meanwhile(func() { put(t, s, store.AddressClaimKey("web", endpoint), store.Claim{Endpoint: "e1", Host: "a"}) })
	if err := a.ReleaseAddress(t.Context(), id, endpoint); err != nil {
		t.Fatal(err)
	}
	if !read[store.Address](t, s, id.key().address(endpoint)).exists() {
		t.Error("released an address that was claimed")
	}
}

func TestNextFit(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/29")
	next := func(p *Pools) string { t.Helper(); return must(t, p, id, netip.Addr{}, Unstated).Addr().String() }
	release := func(s string) {
		t.Helper()
		if err := a.ReleaseAddress(t.Context(), id, addr(s)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	got = append(got, next(a), next(a))
	release("10.1.0.2")
	got = append(got, next(a))
	got = append(got, next(host(t, s, "a", c))) // after a restart
	got = append(got, next(a), next(a), next(a))
	release("10.1.0.4")
	got = append(got, next(a))
	want := []string{"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.2", "10.1.0.4"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := a.RequestAddress(t.Context(), id, netip.Addr{}, Unstated); !errors.Is(err, ErrExhausted) {
		t.Errorf("got %v", err)
	}
}

// What another host has released is found before the pool is called exhausted.
func TestExhaustionIsBelievedOfTheStoreOnly(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/29")
	for i := range 6 {
		must(t, []*Pools{a, b}[i%2], id, netip.Addr{}, Unstated)
	}
	if _, err := a.RequestAddress(t.Context(), id, netip.Addr{}, Unstated); !errors.Is(err, ErrExhausted) {
		t.Fatalf("got %v", err)
	}
	if err := b.ReleaseAddress(t.Context(), id, addr("10.1.0.2")); err != nil {
		t.Fatal(err)
	}
	if got := must(t, a, id, netip.Addr{}, Unstated); got.Addr() != addr("10.1.0.2") {
		t.Errorf("got %s", got)
	}
}

func TestLostStoreHeals(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	must(t, a, id, addr("10.1.0.5"), ForEndpoint)
	clear(s.records)
	if err := a.ReleaseAddress(t.Context(), id, addr("10.1.0.5")); err != nil {
		t.Errorf("release: %v", err)
	}
	must(t, a, id, addr("10.1.0.5"), ForEndpoint)
	if pool := read[store.Pool](t, s, id.key().pool()); !slices.Equal(pool.value.Hosts, []string{"a"}) {
		t.Errorf("got %+v", pool.value)
	}
	put(t, s, id.key().pool(), nil) // lost in part: what is left of the addresses counts
	if got := must(t, host(t, s, "a", c), id, netip.Addr{}, Unstated); got.Addr() == addr("10.1.0.5") {
		t.Errorf("got %s again", got)
	}
}

// The cost of an address does not depend on how many are in use, also with a second host that takes some.
func TestRequestAddressCost(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/16")
	for range 500 {
		must(t, a, id, netip.Addr{}, Unstated)
		must(t, b, id, netip.Addr{}, Unstated)
	}
	s.gets, s.lists, s.commits = 0, 0, 0
	for range 100 {
		must(t, a, id, netip.Addr{}, Unstated)
		must(t, b, id, netip.Addr{}, Unstated)
	}
	if s.lists > 0 || s.gets > 600 || s.commits > 400 {
		t.Errorf("200 addresses took %d lists, %d gets, %d commits", s.lists, s.gets, s.commits)
	}
}

// A backend that does not tell which condition failed costs time, not correctness.
func TestMuteConflicts(t *testing.T) {
	s, c := newMemory(), newClock()
	s.mute = true
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	seen := map[netip.Prefix]bool{}
	for i := range 40 {
		got := must(t, []*Pools{a, b}[i%2], id, netip.Addr{}, Unstated)
		if seen[got] {
			t.Fatalf("got %s twice", got)
		}
		seen[got] = true
	}
}

func TestUnavailableStore(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	must(t, a, id, netip.Addr{}, Unstated)
	s.fail = func([]store.Write) error { return fmt.Errorf("commit: %w", store.ErrUnavailable) }
	if _, err := a.RequestAddress(t.Context(), id, netip.Addr{}, Unstated); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	s.fail = nil
	if got := must(t, a, id, netip.Addr{}, Unstated); got.Addr() != addr("10.1.0.3") {
		t.Errorf("got %s, want the address after the one in doubt", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.RequestAddress(ctx, id, netip.Addr{}, Unstated); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkRequestAddress(b *testing.B) {
	for _, inUse := range []int{0, 1000, 10000} {
		b.Run(fmt.Sprint(inUse), func(b *testing.B) {
			a := host(b, newMemory(), "a", newClock())
			id := poolID(b, "web#fd00::/64")
			for range inUse {
				must(b, a, id, netip.Addr{}, Unstated)
			}
			for b.Loop() {
				must(b, a, id, netip.Addr{}, Unstated)
			}
		})
	}
}
