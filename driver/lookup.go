package driver

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"falcon/store"
)

// isReady tells whether the view was ever complete.
func (v *view) isReady() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.ready
}

// member returns the network that a Docker network of this host stands for.
func (v *view) member(host, dockerID string) (store.Member, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, members := range v.members {
		if m, ok := members[host]; ok && m.DockerID == dockerID {
			return m, true
		}
	}
	return store.Member{}, false
}

// membership returns this host's part in a network.
func (v *view) membership(host, network string) (store.Member, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	m, ok := v.members[network][host]
	return m, ok
}

// memberships returns the networks that a host takes part in, in order of name.
func (v *view) memberships(host string) []store.Member {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var found []store.Member
	for _, members := range v.members {
		if m, ok := members[host]; ok {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b store.Member) int { return strings.Compare(a.Network, b.Network) })
	return found
}

// endpoint returns one endpoint of a network.
func (v *view) endpoint(network, id string) (store.Endpoint, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	e, ok := v.endpoints[network][id]
	return e, ok
}

// locals returns a host's endpoints, of one network or (network empty) of all.
func (v *view) locals(host, network string) []store.Endpoint {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var found []store.Endpoint
	for name, endpoints := range v.endpoints {
		if network != "" && name != network {
			continue
		}
		for _, e := range endpoints {
			if e.Host == host {
				found = append(found, e)
			}
		}
	}
	return found
}

// network returns what the members of a network agree on.
func (v *view) network(name string) (store.Network, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n, ok := v.networks[name]
	return n, ok
}

// host returns a host's record.
func (v *view) host(id string) (store.Host, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h, ok := v.hosts[id]
	return h, ok
}

// peers returns all other hosts that share a network with this one, in order of name, with the number of
// shared networks.
func (v *view) peers(self string) []PeerStatus {
	v.mu.RLock()
	defer v.mu.RUnlock()
	shared := map[string]int{}
	for _, members := range v.members {
		if _, ok := members[self]; !ok {
			continue
		}
		for id := range members {
			if id != self {
				shared[id]++
			}
		}
	}
	var peers []PeerStatus
	for id, count := range shared {
		h := v.hosts[id]
		peers = append(peers, PeerStatus{ID: id, Name: h.Name, Underlay: h.Underlay, Alive: v.alive[id], Networks: count})
	}
	slices.SortFunc(peers, func(a, b PeerStatus) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return peers
}

// networksWithHosts returns the networks that this host shares with others whose addresses are in a prefix.
func (v *view) networksWithHosts(self string, in netip.Prefix) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var found []string
	for network, members := range v.members {
		if _, ok := members[self]; !ok {
			continue
		}
		for id := range members {
			if id != self && in.Contains(v.hosts[id].Underlay.Unmap()) {
				found = append(found, network)
				break
			}
		}
	}
	return found
}

// damage returns the keys that could not be decoded.
func (v *view) damage() map[string]error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return maps.Clone(v.corrupt)
}
