package driver

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"falcon/store"
)

// view is this process's copy of the store's intent. The watch feeds it; this host's own commits are applied
// at once, so that a request sees what the one before it wrote. Each key remembers the revision of its
// last change, deletions included: whatever arrives late is ignored.
type view struct {
	mu        sync.RWMutex // guards everything below; a leaf
	ready     bool         // listed at least once
	revision  int64        // up to which the store has told of every change
	applied   map[string]int64
	networks  map[string]store.Network
	hosts     map[string]store.Host
	alive     map[string]bool
	members   map[string]map[string]store.Member   // by network and host
	endpoints map[string]map[string]store.Endpoint // by network and endpoint ID
	corrupt   map[string]error                     // keys that could not be decoded
}

// viewed are the kinds of records that the view holds; the rest of the store is of no concern to it.
var viewed = []string{store.NetworksPrefix, store.HostsPrefix, store.AlivePrefix, store.MembersPrefix, store.EndpointsPrefix}

// change is what an event did to the view.
type change struct {
	kind          string          // prefix of the record's key
	network       string          // that it concerns; empty for a host
	host          string          // of a host's or member's record
	before, after *store.Endpoint // of an endpoint; nil where there is none
}

func newView() *view {
	v := &view{}
	v.clear()
	return v
}

func (v *view) clear() {
	v.applied = map[string]int64{}
	v.networks = map[string]store.Network{}
	v.hosts = map[string]store.Host{}
	v.alive = map[string]bool{}
	v.members = map[string]map[string]store.Member{}
	v.endpoints = map[string]map[string]store.Endpoint{}
	v.corrupt = map[string]error{}
}

// reset replaces the view by a snapshot. Own commits that are newer than the snapshot survive it.
func (v *view) reset(records []store.Record, revision int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	newer := v.newerThan(revision)
	v.clear()
	for _, r := range records {
		v.applyLocked(store.Event{Record: r})
	}
	for _, e := range newer {
		v.applyLocked(e)
	}
	v.revision, v.ready = revision, true
}

// newerThan returns, as events, what was applied after revision.
func (v *view) newerThan(revision int64) []store.Event {
	var events []store.Event
	for key, applied := range v.applied {
		if applied <= revision {
			continue
		}
		e := store.Event{Record: store.Record{Key: key, Revision: applied}}
		value, ok := v.value(key)
		if e.Deleted = !ok; ok {
			e.Value = store.Encode(value)
		}
		events = append(events, e)
	}
	return events
}

// value returns the record of a key as it stands in the view.
func (v *view) value(key string) (any, bool) {
	kind, rest, _ := strings.Cut(key, "/")
	first, second, _ := strings.Cut(rest, "/")
	switch kind + "/" {
	case store.NetworksPrefix:
		n, ok := v.networks[first]
		return n, ok
	case store.HostsPrefix:
		h, ok := v.hosts[first]
		return h, ok
	case store.MembersPrefix:
		m, ok := v.members[first][second]
		return m, ok
	case store.EndpointsPrefix:
		e, ok := v.endpoints[first][second]
		return e, ok
	case store.AlivePrefix:
		return true, v.alive[first]
	}
	return nil, false
}

// apply takes in a commit of our own. The store may have told of it already, and of what came after it.
func (v *view) apply(revision int64, events []store.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if revision > v.revision {
		v.applyAll(revision, events)
	}
}

func (v *view) applyAll(revision int64, events []store.Event) []change {
	var changes []change
	for _, e := range events {
		e.Revision = revision
		if c, ok := v.applyLocked(e); ok {
			changes = append(changes, c)
		}
	}
	return changes
}

// follow takes in a commit that the watch tells of, and returns what it changed. Deletions up to there need not
// be remembered any more.
func (v *view) follow(revision int64, events []store.Event) []change {
	v.mu.Lock()
	defer v.mu.Unlock()
	changes := v.applyAll(revision, events)
	v.revision = revision
	for _, e := range events {
		if e.Deleted && v.applied[e.Key] <= revision {
			delete(v.applied, e.Key)
		}
	}
	return changes
}

func (v *view) applyLocked(e store.Event) (change, bool) {
	kind, rest, _ := strings.Cut(e.Key, "/")
	if !slices.Contains(viewed, kind+"/") || e.Revision <= v.applied[e.Key] {
		return change{}, false
	}
	v.applied[e.Key] = e.Revision
	delete(v.corrupt, e.Key)
	first, second, _ := strings.Cut(rest, "/")
	switch kind + "/" {
	case store.NetworksPrefix:
		put(v, v.networks, first, e)
		return change{kind: store.NetworksPrefix, network: first}, true
	case store.HostsPrefix:
		put(v, v.hosts, first, e)
		return change{kind: store.HostsPrefix, host: first}, true
	case store.AlivePrefix:
		v.alive[first] = !e.Deleted
		return change{}, false
	case store.MembersPrefix:
		put(v, inner(v.members, first), second, e)
		return change{kind: store.MembersPrefix, network: first, host: second}, true
	case store.EndpointsPrefix:
		endpoints := inner(v.endpoints, first)
		before := lookup(endpoints, second)
		put(v, endpoints, second, e)
		return change{kind: store.EndpointsPrefix, network: first, before: before, after: lookup(endpoints, second)}, true
	}
	return change{}, false
}

// put stores or deletes one decoded record. One that does not decode is left out and remembered: a record
// that is not understood must not bring the others down.
func put[T any](v *view, into map[string]T, key string, e store.Event) {
	if e.Deleted {
		delete(into, key)
		return
	}
	value, err := store.Decode[T](e.Record)
	if err != nil {
		v.corrupt[e.Key] = err
		return
	}
	into[key] = value
}

func inner[T any](outer map[string]map[string]T, key string) map[string]T {
	if outer[key] == nil {
		outer[key] = map[string]T{}
	}
	return outer[key]
}

func lookup[T any](m map[string]T, key string) *T {
	value, ok := m[key]
	if !ok {
		return nil
	}
	return &value
}

// scene is one network with everything that its devices derive from.
type scene struct {
	network   store.Network
	members   map[string]store.Member
	endpoints map[string]store.Endpoint
	hosts     map[string]store.Host
}

// scene returns a copy of a network's part of the view.
func (v *view) scene(network string) (scene, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n, ok := v.networks[network]
	if !ok {
		return scene{}, false
	}
	return scene{n, maps.Clone(v.members[network]), maps.Clone(v.endpoints[network]), maps.Clone(v.hosts)}, true
}
