package ipam

import (
	"context"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"falcon/store"
)

// memory is a store.Store in memory, with the parts of the contract that this package uses.
type memory struct {
	store.Store // for what is not used; nil

	mu       sync.Mutex
	records  map[string]store.Record
	revision int64

	lists, gets, commits int
	mute                 bool                             // conflicts do not tell the key, as etcd may not
	before               func()                           // runs before a commit, unlocked
	fail                 func(writes []store.Write) error // fails a commit
}

func newMemory() *memory { return &memory{records: map[string]store.Record{}} }

func (m *memory) Get(_ context.Context, key string) (store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	r, ok := m.records[key]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return r, nil
}

func (m *memory) List(_ context.Context, prefix string) ([]store.Record, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	var all []store.Record
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		if strings.HasPrefix(key, prefix) {
			all = append(all, m.records[key])
		}
	}
	return all, m.revision, nil
}

func (m *memory) Commit(ctx context.Context, conditions []store.Condition, writes []store.Write) (int64, error) {
	if m.before != nil {
		m.before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.fail != nil {
		if err := m.fail(writes); err != nil {
			return 0, err
		}
	}
	for _, c := range conditions {
		if !m.holds(c) {
			if m.mute {
				return 0, &store.ConflictError{}
			}
			return 0, &store.ConflictError{Key: c.Key}
		}
	}
	if len(writes) == 0 || len(writes) > maxWrites || len(conditions) > 128 {
		panic("commit of a bad size")
	}
	m.revision++
	seen := map[string]bool{}
	for _, w := range writes {
		if seen[w.Key] {
			panic("key " + w.Key + " is in two writes")
		}
		seen[w.Key] = true
		if w.Value == nil {
			delete(m.records, w.Key)
		} else {
			m.records[w.Key] = store.Record{Key: w.Key, Value: w.Value, Revision: m.revision}
		}
	}
	return m.revision, nil
}

// meanwhile has fn run once, just before the next commit.
func (m *memory) meanwhile(fn func()) {
	m.before = func() {
		m.before = nil
		fn()
	}
}

func (m *memory) holds(c store.Condition) bool {
	r, ok := m.records[c.Key]
	switch c.Revision {
	case store.Absent:
		return !ok
	case store.Present:
		return ok
	}
	return ok && r.Revision == c.Revision
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return c.t
}

// fixedRoutes are routes that never change.
type fixedRoutes []netip.Prefix

func (r fixedRoutes) Routes(context.Context) ([]netip.Prefix, error) { return r, nil }

func silent() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// host returns the pools as a host of that name uses them.
func host(t testing.TB, s store.Store, name string, c *clock, routes ...string) *Pools {
	t.Helper()
	var fixed fixedRoutes
	for _, r := range routes {
		fixed = append(fixed, netip.MustParsePrefix(r))
	}
	p, err := New(Config{Store: s, HostID: name, Routes: fixed, Log: silent(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// poolID parses a PoolID that is right.
func poolID(t testing.TB, s string) PoolID {
	t.Helper()
	id, err := ParsePoolID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// put stores a value as if another part of falcon did.
func put(t testing.TB, s store.Store, key string, value any) {
	t.Helper()
	write := store.Write{Key: key}
	if value != nil {
		write.Value = store.Encode(value)
	}
	if _, err := s.Commit(t.Context(), nil, []store.Write{write}); err != nil {
		t.Fatal(err)
	}
}

// read returns a record that may be absent.
func read[T any](t testing.TB, s store.Store, key string) record[T] {
	t.Helper()
	r, err := get[T](t.Context(), s, key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// must requests an address and expects to get it.
func must(t testing.TB, p *Pools, id PoolID, a netip.Addr, use Use) netip.Prefix {
	t.Helper()
	got, err := p.RequestAddress(t.Context(), id, a, use)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
