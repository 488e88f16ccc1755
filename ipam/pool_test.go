package ipam

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"falcon/store"
)

func TestRequestPoolIsShared(t *testing.T) {
	s, c := newMemory(), newClock()
	id := poolID(t, "web#10.1.0.0/24")
	for _, name := range []string{"a", "b", "a"} {
		if err := host(t, s, name, c).RequestPool(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	pool := read[store.Pool](t, s, id.key().pool())
	if !slices.Equal(pool.value.Hosts, []string{"a", "b"}) || !pool.value.Created.Equal(c.now()) || pool.value.Scope != "web" {
		t.Errorf("got %+v", pool.value)
	}
}

func TestRequestPoolOverlap(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	if err := a.RequestPool(t.Context(), poolID(t, "@a#10.1.0.0/24")); err != nil {
		t.Fatal(err)
	}
	err := a.RequestPool(t.Context(), poolID(t, "@a#10.1.0.0/16"))
	for _, want := range []string{"10.1.0.0/24", "10.1.0.0/16", "--subnet", "--ipam-opt falcon.network=NAME"} {
		if !errors.Is(err, ErrOverlap) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrOverlap with %s", err, want)
		}
	}
	for _, other := range []string{"@a#10.2.0.0/24", "@a#fd00::/64", "web#10.1.0.0/16"} {
		if err := a.RequestPool(t.Context(), poolID(t, other)); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	if err := b.RequestPool(t.Context(), poolID(t, "@b#10.1.0.0/16")); err != nil {
		t.Errorf("another host's scope: %v", err)
	}
}

// Two hosts create overlapping pools of one scope at the same moment: one of them must lose.
func TestRequestPoolOverlapRace(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	s.meanwhile(func() {
		if err := b.RequestPool(t.Context(), poolID(t, "web#10.1.0.0/16")); err != nil {
			t.Error(err)
		}
	})
	if err := a.RequestPool(t.Context(), poolID(t, "web#10.1.0.0/24")); !errors.Is(err, ErrOverlap) {
		t.Errorf("got %v, want ErrOverlap", err)
	}
}

func TestRequestDefaultPool(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c, "0.0.0.0/0", "128.0.0.0/1", "10.160.1.0/24", "10.128.0.0/30", "fc00::/7")
	b := host(t, s, "b", c)
	request := func(p *Pools, scope string, v6 bool) PoolID {
		t.Helper()
		c.advance(time.Second)
		id, err := p.RequestDefaultPool(t.Context(), scope, v6)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, tt := range []struct {
		p     *Pools
		scope string
		want  string
		why   string
	}{
		{a, "@a", "10.160.16.0/20", "10.160.1.0/24 is a route"},
		{a, "@a", "10.160.32.0/20", "a second network gets another one"},
		{b, "@b", "10.160.0.0/20", "b has no such route, and a's own pools do not matter to it"},
		{a, "web", "10.160.48.0/20", "the pools of all hosts matter to a shared one"},
		{b, "web", "10.160.48.0/20", "the second host joins"},
		{b, "@b", "10.160.16.0/20", "a's own pools do not matter, the shared one does"},
	} {
		if id := request(tt.p, tt.scope, false); id.Prefix != prefix(tt.want) || id.Scope != tt.scope {
			t.Errorf("%s: got %s, want %s: %s", tt.scope, id, tt.want, tt.why)
		}
	}
	six := request(a, "web", true)
	if six.Prefix.Bits() != 64 || !prefix("fd00::/8").Contains(six.Prefix.Addr()) {
		t.Errorf("got %s, want a ULA /64", six)
	}
	if joined := request(b, "web", true); joined != six {
		t.Errorf("got %s, want %s", joined, six)
	}
	if hosts := read[store.Pool](t, s, six.key().pool()).value.Hosts; !slices.Equal(hosts, []string{"a", "b"}) {
		t.Errorf("got hosts %v", hosts)
	}
}

func TestRequestDefaultPoolJoinsTheOldest(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	for _, id := range []string{"web#10.9.0.0/24", "web#10.1.0.0/24", "web#fd00::/64"} {
		c.advance(time.Second)
		if err := a.RequestPool(t.Context(), poolID(t, id)); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := b.RequestDefaultPool(t.Context(), "web", false); err != nil || id != poolID(t, "web#10.9.0.0/24") {
		t.Errorf("got %s, %v", id, err)
	}
}

func TestRequestDefaultPoolRefusals(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	joined, err := a.RequestDefaultPool(t.Context(), "web", false)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("route of the second host", func(t *testing.T) {
		b := host(t, s, "b", c, "10.160.5.0/24")
		_, err := b.RequestDefaultPool(t.Context(), "web", false)
		if !errors.Is(err, ErrOverlap) || !strings.Contains(err.Error(), "10.160.5.0/24") || !strings.Contains(err.Error(), "--subnet 10.160.0.0/20") {
			t.Errorf("got %v", err)
		}
		if err := b.RequestPool(t.Context(), joined); err != nil {
			t.Errorf("with --subnet: %v", err)
		}
	})

	t.Run("Docker asks for ever", func(t *testing.T) {
		b, err := host(t, s, "b", c), error(nil)
		n := 0
		for ; err == nil && n < 100; n++ {
			_, err = b.RequestDefaultPool(t.Context(), "web", false)
		}
		if n != maxOffers+1 || !errors.Is(err, ErrOverlap) {
			t.Errorf("got %v after %d requests", err, n)
		}
		for range 20 {
			if _, err := b.RequestDefaultPool(t.Context(), "web", false); err != nil {
				t.Fatalf("the network is created in between: %v", err)
			}
			must(t, b, joined, netip.Addr{}, ForGateway)
		}
	})

	t.Run("none left", func(t *testing.T) {
		b := host(t, s, "b", c, "10.160.0.0/11")
		if _, err := b.RequestDefaultPool(t.Context(), "@b", false); !errors.Is(err, ErrNoSubnet) || !strings.Contains(err.Error(), "--subnet") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("routes fail", func(t *testing.T) {
		b := host(t, s, "b", c)
		b.routes = brokenRoutes{}
		if _, err := b.RequestDefaultPool(t.Context(), "@b", false); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	})
}

var errBroken = errors.New("broken")

type brokenRoutes struct{}

func (brokenRoutes) Routes(context.Context) ([]netip.Prefix, error) { return nil, errBroken }

// However many hosts start the same network at once, they end up in one pool; different networks never in
// overlapping ones.
func TestRequestDefaultPoolRace(t *testing.T) {
	s, c := newMemory(), newClock()
	ids := make([]PoolID, 12)
	var all sync.WaitGroup
	for i := range ids {
		p := host(t, s, string(rune('a'+i)), c)
		all.Go(func() {
			var err error
			if ids[i], err = p.RequestDefaultPool(t.Context(), []string{"x", "y", "z"}[i%3], i%2 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, a := range ids {
		for j, b := range ids {
			same := i%3 == j%3 && i%2 == j%2
			if same != (a == b) || !same && a.Prefix.Overlaps(b.Prefix) {
				t.Errorf("%d and %d: %s and %s", i, j, a, b)
			}
		}
	}
}

func TestDefaultSubnets(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		var all []netip.Prefix
		for p := range defaultSubnets(v6) {
			if p != p.Masked() || p.Addr().Is6() != v6 || slices.ContainsFunc(all, p.Overlaps) || !p.Addr().IsPrivate() {
				t.Errorf("bad default %s", p)
			}
			all = append(all, p)
		}
		if want := map[bool]int{false: 512, true: ulaTries}[v6]; len(all) != want {
			t.Errorf("v6 %v: got %d, want %d", v6, len(all), want)
		}
		for range defaultSubnets(v6) {
			break
		}
	}
	if p, err := chooseSubnet(false, []netip.Prefix{prefix("10.160.0.0/16")}); err != nil || p != prefix("10.161.0.0/20") {
		t.Errorf("got %s, %v", p, err)
	}
}

func TestReleasePool(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	for _, p := range []*Pools{a, b} {
		if err := p.RequestPool(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		must(t, p, id, netip.Addr{}, ForGateway)
		must(t, p, id, netip.Addr{}, Unstated)
	}
	release := func(p *Pools) {
		t.Helper()
		for range 2 { // what is not held is no error
			if err := p.ReleasePool(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	release(a)
	addresses, err := b.addresses(t.Context(), id.key())
	if err != nil || len(addresses) != 2 {
		t.Fatalf("got %v, %v, want the gateway and b's endpoint", addresses, err)
	}
	for _, h := range addresses {
		if !slices.Equal(h.value.Hosts, []string{"b"}) {
			t.Errorf("%s is held by %v", h.address, h.value.Hosts)
		}
	}
	release(b)
	if len(s.records) != 0 {
		t.Errorf("left: %v", s.records)
	}
}

func TestReleasePoolKeepsTheScope(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	for _, id := range []string{"web#10.1.0.0/24", "web#10.2.0.0/24"} {
		if err := a.RequestPool(t.Context(), poolID(t, id)); err != nil {
			t.Fatal(err)
		}
	}
	before := read[touched](t, s, store.ScopeKey("web"))
	if err := a.ReleasePool(t.Context(), poolID(t, "web#10.1.0.0/24")); err != nil {
		t.Fatal(err)
	}
	if after := read[touched](t, s, store.ScopeKey("web")); after.revision <= before.revision {
		t.Error("the scope was not touched")
	}
}

// A pool with more addresses than fit in a commit goes in several; interrupted, it can go on.
func TestReleaseLargePool(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/16")
	for range 350 {
		must(t, a, id, netip.Addr{}, Unstated)
	}
	n := 0
	s.fail = func([]store.Write) error {
		if n++; n == 3 {
			return store.ErrUnavailable
		}
		return nil
	}
	if err := a.ReleasePool(t.Context(), id); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if !read[store.Pool](t, s, id.key().pool()).exists() {
		t.Fatal("the pool went before its addresses")
	}
	s.fail = nil
	if err := a.ReleasePool(t.Context(), id); err != nil || len(s.records) != 0 {
		t.Errorf("got %v, left %d records", err, len(s.records))
	}
}

// Another host joins while the last one leaves: the pool stays, for it.
func TestReleasePoolRace(t *testing.T) {
	s, c := newMemory(), newClock()
	a, b := host(t, s, "a", c), host(t, s, "b", c)
	id := poolID(t, "web#10.1.0.0/24")
	must(t, a, id, netip.Addr{}, Unstated)
	s.meanwhile(func() { must(t, b, id, netip.Addr{}, Unstated) })
	if err := a.ReleasePool(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	pool := read[store.Pool](t, s, id.key().pool())
	addresses, err := b.addresses(t.Context(), id.key())
	if err != nil || len(addresses) != 1 || !slices.Equal(pool.value.Hosts, []string{"b"}) || !slices.Equal(addresses[0].value.Hosts, []string{"b"}) {
		t.Errorf("got %v, %v, %v", pool.value, addresses, err)
	}
}

func TestSettleEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := settle(ctx, func() error { return &store.ConflictError{} })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCorruptRecords(t *testing.T) {
	s, c := newMemory(), newClock()
	a := host(t, s, "a", c)
	id := poolID(t, "web#10.1.0.0/24")
	must(t, a, id, netip.Addr{}, Unstated)
	s.records[id.key().addresses()+"x"] = store.Record{Key: id.key().addresses() + "x", Value: []byte("{}"), Revision: 9}
	if err := a.ReleasePool(t.Context(), id); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	s.records[id.key().pool()] = store.Record{Key: id.key().pool(), Value: []byte("{"), Revision: 9}
	if err := a.RequestPool(t.Context(), id); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
