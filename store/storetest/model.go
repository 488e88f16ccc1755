package storetest

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"falcon/store"
)

// model is what a store should be: a map, and the log of what changed it.
type model struct {
	records map[string]store.Record
	log     []delivery
}

// testModel does random operations on a store and on a model, and compares what they list and what watchers
// see. The store and its watchers are shared by all rounds: each begins by clearing the store.
func testModel(t *testing.T, s store.Store) {
	_, revision := list(t, s, "")
	watchers := map[string]*Watcher{}
	for _, prefix := range []string{"", "a/"} {
		watchers[prefix] = StartWatch(t, s, prefix, revision)
	}
	rapid.Check(t, func(r *rapid.T) {
		start := clearStore(r, s)
		m := &model{records: make(map[string]store.Record)}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			m.commit(r, s)
			m.compare(r, s, drawPrefix(r))
		}
		end := m.finish(r, s)
		m.compare(r, s, "")
		for prefix, w := range watchers {
			m.replay(t, r, w, prefix, start, end)
		}
	})
}

func clearStore(r *rapid.T, s store.Store) int64 {
	records, revision, err := s.List(context.Background(), "")
	if err != nil {
		r.Fatalf("list: %v", err)
	}
	writes := make([]store.Write, len(records))
	for i, record := range records {
		writes[i].Key = record.Key
	}
	if len(writes) > 0 {
		if revision, err = s.Commit(context.Background(), nil, writes); err != nil {
			r.Fatalf("clear: %v", err)
		}
	}
	return revision
}

func drawKey(r *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a/", "a/1", "a/2", "a0", "b", "b/1"}).Draw(r, "key")
}

func drawPrefix(r *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "a/", "a/1", "b", "c"}).Draw(r, "prefix")
}

// drawConditions prefers what holds, else hardly a commit would pass.
func (m *model) drawConditions(r *rapid.T) []store.Condition {
	conditions := make([]store.Condition, rapid.IntRange(0, 3).Draw(r, "conditions"))
	for i := range conditions {
		key := drawKey(r)
		revision := m.records[key].Revision
		if rapid.IntRange(0, 9).Draw(r, "odd") == 0 {
			revision = rapid.SampledFrom([]int64{store.Absent, store.Present, 1, revision + 1}).Draw(r, "revision")
		}
		conditions[i] = store.Condition{Key: key, Revision: revision}
	}
	return conditions
}

func drawWrites(r *rapid.T) []store.Write {
	var writes []store.Write
	for _, key := range rapid.SliceOfNDistinct(rapid.Custom(drawKey), 0, 4, rapid.ID).Draw(r, "keys") {
		value := []byte(rapid.SampledFrom([]string{"", "x", "y"}).Draw(r, "value"))
		if rapid.Bool().Draw(r, "delete") {
			value = nil
		}
		writes = append(writes, store.Write{Key: key, Value: value})
	}
	return writes
}

func (m *model) commit(r *rapid.T, s store.Store) {
	conditions, writes := m.drawConditions(r), drawWrites(r)
	revision, err := s.Commit(context.Background(), conditions, writes)
	if key, ok := m.check(conditions); !ok {
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Key != key {
			r.Fatalf("commit if %v: got error %v, want a conflict on %q", conditions, err, key)
		}
		return
	}
	if err != nil {
		r.Fatalf("commit %v if %v: %v", writes, conditions, err)
	}
	m.apply(writes, revision)
}

// check returns the key of the first condition that does not hold.
func (m *model) check(conditions []store.Condition) (string, bool) {
	for _, c := range conditions {
		revision := m.records[c.Key].Revision
		if c.Revision != revision && (c.Revision != store.Present || revision == 0) {
			return c.Key, false
		}
	}
	return "", true
}

func (m *model) apply(writes []store.Write, revision int64) {
	d := delivery{revision: revision}
	for _, w := range writes {
		record := store.Record{Key: w.Key, Value: w.Value, Revision: revision}
		if w.Value != nil {
			m.records[w.Key] = record
		} else if _, ok := m.records[w.Key]; ok {
			delete(m.records, w.Key)
		} else {
			continue
		}
		d.events = append(d.events, store.Event{Record: record, Deleted: w.Value == nil})
	}
	if len(d.events) > 0 {
		m.log = append(m.log, d)
	}
}

func (m *model) compare(r *rapid.T, s store.Store, prefix string) {
	got, _, err := s.List(context.Background(), prefix)
	if err != nil {
		r.Fatalf("list %q: %v", prefix, err)
	}
	var want []store.Record
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		if strings.HasPrefix(key, prefix) {
			want = append(want, m.records[key])
		}
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		r.Fatalf("list %q: got %v, want %v", prefix, got, want)
	}
}

// finish commits something that every watcher sees.
func (m *model) finish(r *rapid.T, s store.Store) int64 {
	writes := []store.Write{put("a/end", "")}
	revision, err := s.Commit(context.Background(), nil, writes)
	if err != nil {
		r.Fatalf("commit: %v", err)
	}
	m.apply(writes, revision)
	return revision
}

// replay compares what a watcher saw between two revisions with the log.
func (m *model) replay(t *testing.T, r *rapid.T, w *Watcher, prefix string, start, end int64) {
	var got []delivery
	for at := start; at < end; {
		var events []store.Event
		if at, events = w.Next(t); at > start {
			got = append(got, delivery{at, events})
		}
	}
	if want := m.matching(prefix); !reflect.DeepEqual(got, want) {
		r.Fatalf("watch %q from %d: got %v, want %v", prefix, start, got, want)
	}
}

func (m *model) matching(prefix string) []delivery {
	var deliveries []delivery
	for _, d := range m.log {
		var events []store.Event
		for _, event := range d.events {
			if strings.HasPrefix(event.Key, prefix) {
				events = append(events, event)
			}
		}
		if len(events) > 0 {
			deliveries = append(deliveries, delivery{d.revision, events})
		}
	}
	return deliveries
}
