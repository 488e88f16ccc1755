package datapath

import (
	"context"
	"errors"
	"maps"

	"github.com/cilium/ebpf"
)

// ShortcutStatus is what takes the shortcut on this host at the moment, and what does not, and why.
type ShortcutStatus struct {
	Networks map[VNI]ShortcutNetwork
	// Unknown is what came with headers that are too short to tell a network, and (dropped_device) what came in at another device
	// than the underlay's from a host that is none of the network's.
	Unknown  map[string]WayCount
	Problems map[string]string
}

// ShortcutNetwork is a network that is to be on the shortcut. Counters grow from when it first was.
type ShortcutNetwork struct {
	Active bool                `json:"active"`
	Why    string              `json:"why,omitempty"` // it is not
	Ways   map[string]WayCount `json:"ways"`
}

// WayCount counts packets and their bytes, from the Ethernet header on: of those that take the shortcut the inner one.
type WayCount struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// ways names what may become of a packet: enum way of bpf/shortcut_types.h.
var ways = map[shortcutWay]string{
	shortcutWayWAY_IN: "in", shortcutWayWAY_OUT: "out", shortcutWayWAY_LOCAL: "local",
	shortcutWayWAY_GROUP: "kernel_group", shortcutWayWAY_UNKNOWN: "kernel_unknown", shortcutWayWAY_KIND: "kernel_kind",
	shortcutWayWAY_HEADER: "kernel_header", shortcutWayWAY_SIZE: "kernel_size", shortcutWayWAY_REFUSED: "kernel_refused",
	shortcutWayWAY_MALFORMED: "kernel_malformed",
	shortcutWayWAY_HOST:      "dropped_host", shortcutWayWAY_MAC: "dropped_mac", shortcutWayWAY_ADDRESS: "dropped_address",
	shortcutWayWAY_TAGGED: "dropped_tagged", shortcutWayWAY_ROUTER: "dropped_router",
}

// ShortcutStatus reads the counters.
func (d *Datapath) ShortcutStatus(context.Context) ShortcutStatus {
	status := d.shortcutCounters()
	if len(status.Networks) == 0 {
		return status
	}
	elsewhere, err := d.droppedElsewhere(maps.Keys(status.Networks))
	if err != nil {
		status.Problems["counters"] = err.Error()
	}
	if elsewhere.Packets > 0 {
		status.Unknown["dropped_device"] = elsewhere
	}
	return status
}

// shortcutCounters is what can be told without asking netfilter.
func (d *Datapath) shortcutCounters() ShortcutStatus {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	status := ShortcutStatus{Networks: map[VNI]ShortcutNetwork{}, Problems: maps.Clone(s.problems)}
	if s.programs == nil {
		return status
	}
	var err error
	if status.Unknown, err = s.programs.count(noNetwork); err != nil {
		status.Problems["counters"] = err.Error()
	}
	for vni, n := range s.networks {
		of := ShortcutNetwork{Active: n.live && n.obstacle == nil}
		if n.obstacle != nil {
			of.Why = n.obstacle.Error()
		}
		if of.Ways, err = s.programs.count(vni); err != nil {
			status.Problems["counters"] = err.Error()
		}
		status.Networks[vni] = of
	}
	return status
}

// count sums what became of a network's packets over all cores. Ways that none took are left out.
func (p *shortcutting) count(vni VNI) (map[string]WayCount, error) {
	var cores []shortcutTraffic
	sums := map[string]WayCount{}
	err := p.objects.Traffics.Lookup(uint32(vni), &cores)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return sums, nil
	}
	for _, c := range cores {
		for way, n := range c.Ways {
			if n.Packets > 0 {
				sum := sums[ways[shortcutWay(way)]]
				sums[ways[shortcutWay(way)]] = WayCount{sum.Packets + n.Packets, sum.Bytes + n.Bytes}
			}
		}
	}
	return sums, err
}
