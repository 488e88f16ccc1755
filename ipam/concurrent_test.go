package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"falcon/store"
)

// forEachStore runs a test over the store in memory and over bolt.
func forEachStore(t *testing.T, test func(*testing.T, store.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, newMemory()) })
	t.Run("bolt", func(t *testing.T) {
		b, err := store.OpenBolt(t.Context(), filepath.Join(t.TempDir(), "falcon.db"), silent())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		test(t, b)
	})
}

// Hosts that allocate at once, with several requests each, share a pool to the last address: none is given
// twice and none is lost.
func TestConcurrentRequests(t *testing.T) {
	forEachStore(t, func(t *testing.T, s store.Store) {
		const n, workers = 3, 4 // of each host
		id := poolID(t, "web#10.1.0.0/26")
		c := newClock()
		given := make(chan netip.Addr, 100)
		var all sync.WaitGroup
		for h := range n {
			p := host(t, s, string(rune('a'+h)), c)
			for range workers {
				all.Go(func() {
					for {
						got, err := p.RequestAddress(t.Context(), id, netip.Addr{}, Unstated)
						if errors.Is(err, ErrExhausted) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						given <- got.Addr()
					}
				})
			}
		}
		all.Wait()
		close(given)
		seen := addressSet{}
		for a := range given {
			if _, twice := seen[a]; twice {
				t.Errorf("%s was given twice", a)
			}
			seen[a] = struct{}{}
		}
		if len(seen) != 62 {
			t.Errorf("%d of 62 addresses were given", len(seen))
		}
	})
}

// Hosts that want the same address at once: one gets it, the others learn whose it is.
func TestConcurrentRequestsForOne(t *testing.T) {
	forEachStore(t, func(t *testing.T, s store.Store) {
		id, c := poolID(t, "web#10.1.0.0/24"), newClock()
		var all sync.WaitGroup
		granted := make([]bool, 5)
		for h := range granted {
			p := host(t, s, string(rune('a'+h)), c)
			all.Go(func() {
				_, err := p.RequestAddress(t.Context(), id, addr("10.1.0.5"), ForEndpoint)
				granted[h] = err == nil
				if err != nil && !errors.Is(err, ErrTaken) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(slices.DeleteFunc(granted, func(g bool) bool { return !g })); n != 1 {
			t.Errorf("%d hosts got it", n)
		}
	})
}

// Networks come, go and are used on all hosts at once; nothing is left of them.
func TestConcurrentLives(t *testing.T) {
	forEachStore(t, func(t *testing.T, s store.Store) {
		c := newClock()
		var all sync.WaitGroup
		for h := range 3 {
			p := host(t, s, string(rune('a'+h)), c)
			all.Go(func() {
				for range 5 {
					if err := live(t.Context(), p); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		for _, kind := range []string{store.PoolsPrefix, store.AddressesPrefix, store.ScopeKey("web")} {
			if left, _, err := s.List(t.Context(), kind); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		}
	})
}

// live is the life of the network "web" on a host.
func live(ctx context.Context, p *Pools) error {
	id, err := p.RequestDefaultPool(ctx, "web", false)
	if err != nil {
		return err
	}
	if _, err := p.RequestAddress(ctx, id, netip.Addr{}, ForGateway); err != nil {
		return err
	}
	if err := p.Bind(ctx, LocalSpace, "web", id.Prefix); err != nil {
		return err
	}
	for range 3 {
		a, err := p.RequestAddress(ctx, id, netip.Addr{}, Unstated)
		if err != nil {
			return err
		}
		if err := p.ReleaseAddress(ctx, id, a.Addr()); err != nil {
			return err
		}
	}
	return p.Unbind(ctx, "web")
}

// model is what the hosts of a rapid test hold, as their engines see it.
type model struct {
	store *memory
	clock *clock
	id    PoolID
	hosts []*Pools
	held  map[netip.Addr]int // endpoints' addresses, by host
	live  addressSet         // of these, claimed
}

// TestModel runs random requests of two hosts on a small pool against a model: an address has one holder, is
// given if and only if one is free, and is kept while it is claimed.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, c := newMemory(), newClock()
		s.mute = rapid.Bool().Draw(rt, "mute")
		m := &model{
			store: s, clock: c, held: map[netip.Addr]int{}, live: addressSet{},
			id:    poolID(t, rapid.SampledFrom([]string{"web#10.1.0.0/29", "web#fd00::/125", "web#10.1.0.0/28#10.1.0.8/29"}).Draw(rt, "pool")),
			hosts: []*Pools{host(t, s, "a", c), host(t, s, "b", c)},
		}
		for _, p := range m.hosts {
			if err := p.RequestPool(t.Context(), m.id); err != nil {
				rt.Fatal(err)
			}
			if err := p.Bind(t.Context(), LocalSpace, "web", m.id.Prefix); err != nil {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"any":     m.any,
			"given":   m.given,
			"release": m.release,
			"claim":   m.claim,
			"unclaim": m.unclaim,
			"restart": func(rt *rapid.T) {
				i := m.host(rt)
				m.hosts[i] = host(t, s, string(rune('a'+i)), c)
			},
			"collect": m.collect,
		})
	})
}

func (m *model) host(t *rapid.T) int { return rapid.IntRange(0, 1).Draw(t, "host") }

// address draws one of the pool's addresses.
func (m *model) address(t *rapid.T) netip.Addr {
	b, _ := m.id.block()
	a := b.first
	for range rapid.IntRange(0, 7).Draw(t, "address") {
		a = b.after(a)
	}
	return a
}

func (m *model) any(t *rapid.T) {
	i := m.host(t)
	got, err := m.hosts[i].RequestAddress(context.Background(), m.id, netip.Addr{}, Unstated)
	b, _ := m.id.block()
	if err != nil {
		if _, free := nextFree(b, m.used(), netip.Addr{}); free == nil || !errors.Is(err, ErrExhausted) {
			t.Fatalf("got %v, used are %v", err, m.held)
		}
		return
	}
	if _, taken := m.held[got.Addr()]; taken || !b.contains(got.Addr()) {
		t.Fatalf("got %s, used are %v", got, m.held)
	}
	m.held[got.Addr()] = i
}

func (m *model) used() addressSet {
	used := addressSet{}
	for a := range m.held {
		used[a] = struct{}{}
	}
	return used
}

func (m *model) given(t *rapid.T) {
	i, a := m.host(t), m.address(t)
	_, err := m.hosts[i].RequestAddress(context.Background(), m.id, a, Unstated)
	holder, taken := m.held[a]
	if ok := !taken || holder == i; ok != (err == nil) || err != nil && !errors.Is(err, ErrTaken) {
		t.Fatalf("%s for %d: got %v, used are %v", a, i, err, m.held)
	}
	if err == nil {
		m.held[a] = i
	}
}

func (m *model) release(t *rapid.T) {
	i, a := m.host(t), m.address(t)
	if err := m.hosts[i].ReleaseAddress(context.Background(), m.id, a); err != nil {
		t.Fatal(err)
	}
	if _, live := m.live[a]; m.held[a] == i && !live {
		delete(m.held, a)
	}
}

func (m *model) claim(t *rapid.T) {
	a := m.address(t)
	if i, taken := m.held[a]; taken {
		m.live[a] = struct{}{}
		m.write(t, store.AddressClaimKey("web", a), store.Encode(store.Claim{Endpoint: "e", Host: m.hosts[i].host}))
	}
}

func (m *model) unclaim(t *rapid.T) {
	a := m.address(t)
	delete(m.live, a)
	m.write(t, store.AddressClaimKey("web", a), nil)
}

func (m *model) write(t *rapid.T, key string, value []byte) {
	if _, err := m.store.Commit(context.Background(), nil, []store.Write{{Key: key, Value: value}}); err != nil {
		t.Fatal(err)
	}
}

func (m *model) collect(t *rapid.T) {
	i, leaked := m.host(t), 0
	for a, holder := range m.held {
		if _, live := m.live[a]; holder == i && !live {
			delete(m.held, a)
			leaked++
		}
	}
	n, err := m.hosts[i].Collect(context.Background(), "web", time.Minute, m.clock.advance(time.Hour))
	if n != leaked || err != nil {
		t.Fatalf("collected %d, %v, want %d", n, err, leaked)
	}
}

// check compares the store with the model.
func (m *model) check(t *rapid.T) {
	stored, err := m.hosts[0].addresses(context.Background(), m.id.key())
	if err != nil {
		t.Fatal(err)
	}
	got := map[netip.Addr]string{}
	for _, h := range stored {
		got[h.address] = fmt.Sprint(h.value.Kind, h.value.Hosts)
	}
	for a, i := range m.held {
		if got[a] != fmt.Sprint(store.KindEndpoint, []string{m.hosts[i].host}) {
			t.Fatalf("%s is %q in the store, and host %d has it", a, got[a], i)
		}
	}
	if len(got) != len(m.held) {
		t.Fatalf("store has %v, hosts have %v", got, m.held)
	}
}
