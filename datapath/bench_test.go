package datapath

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
)

// crowded gives a host with count endpoints on one network, and what it must forward: these and as many remote.
func crowded(b *testing.B, count int) (*labHost, Network, Forwarding) {
	h := lone(b)
	n := h.network(labVNI)
	h.ensureNetwork(n)
	f := Forwarding{Local: map[string]Endpoint{}, Remote: map[string]Remote{}, Flood: []netip.Addr{mustAddr("192.0.2.2")}}
	for i := 1; i <= count; i++ {
		e := endpointN(labVNI, i)
		h.ensureEndpoint(e)
		f.Local[e.ID] = e
		e = endpointN(labVNI, 10000+i)
		f.Remote[e.ID] = remoteOf(e, f.Flood[0])
	}
	h.sync(n, f)
	return h, n, f
}

func sizes(b *testing.B, run func(b *testing.B, count int)) {
	for _, count := range []int{5, 500} {
		b.Run(fmt.Sprintf("endpoints=%d", count), func(b *testing.B) { run(b, count) })
	}
}

// One more endpoint on a host that has some already; its removal is not counted.
func BenchmarkEnsureEndpointNew(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, _, _ := crowded(b, count)
		e := endpointN(labVNI, 5000)
		for b.Loop() {
			h.ensureEndpoint(e)
			b.StopTimer()
			if err := h.RemoveEndpoint(context.Background(), e.ID); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}

func BenchmarkEnsureEndpointIdle(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, _, f := crowded(b, count)
		e := f.Local[endpointN(labVNI, 1).ID]
		for b.Loop() {
			h.ensureEndpoint(e)
		}
	})
}

func BenchmarkRemoveEndpoint(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, _, _ := crowded(b, count)
		e := endpointN(labVNI, 5000)
		for b.Loop() {
			b.StopTimer()
			h.ensureEndpoint(e)
			b.StartTimer()
			if err := h.RemoveEndpoint(context.Background(), e.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSyncForwardingIdle(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, n, f := crowded(b, count)
		for b.Loop() {
			if c := h.sync(n, f); c != (Change{}) {
				b.Fatalf("%+v", c)
			}
		}
	})
}

// All remote endpoints are new.
func BenchmarkSyncForwardingNew(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, n, f := crowded(b, count)
		none := Forwarding{Local: f.Local, Flood: f.Flood}
		for b.Loop() {
			b.StopTimer()
			h.sync(n, none)
			b.StartTimer()
			h.sync(n, f)
		}
	})
}

func BenchmarkAddRemote(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, n, f := crowded(b, count)
		r := remoteOf(endpointN(labVNI, 20000), f.Flood[0])
		for b.Loop() {
			if err := h.AddRemote(context.Background(), n, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOwned(b *testing.B) {
	sizes(b, func(b *testing.B, count int) {
		h, _, _ := crowded(b, count)
		for b.Loop() {
			if _, err := h.Owned(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
