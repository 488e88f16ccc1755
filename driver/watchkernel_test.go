package driver

import (
	"net/netip"
	"testing"
	"time"

	"falcon/datapath"
)

// When the way to a host changes, the kernel is told anew of the networks that it is in, and of no others.
func TestRouteToAHostHasItsNetworksSettled(t *testing.T) {
	s := openBolt(t)
	a, b := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, named("neta", "web", "10.1.0.0/24")))
	must(t, a.CreateNetwork(ctx, named("own", "own", "10.2.0.0/24")))
	eventually(t, "b sees the network", func() bool { _, ok := b.view.network("web"); return ok })
	must(t, b.CreateNetwork(ctx, named("netb", "web", "10.1.0.0/24")))
	web, own := a.vni(t, "web"), a.vni(t, "own")
	floods := func() bool { return len(a.kernel.flood(web)) == 1 }
	eventually(t, "a floods to b", floods)
	for _, c := range []struct {
		to   string
		want bool
	}{{"192.0.2.0/24", true}, {"198.51.100.0/24", false}, {"0.0.0.0/0", true}} {
		must(t, a.kernel.do(func() { delete(a.kernel.known, datapath.VNI(web)); delete(a.kernel.known, datapath.VNI(own)) }))
		a.kernel.routes <- netip.MustParsePrefix(c.to)
		if !c.want {
			a.kernel.routes <- netip.MustParsePrefix(c.to) // so the first has been handled
			time.Sleep(50 * time.Millisecond)
			if floods() {
				t.Errorf("a route to %s: settled", c.to)
			}
			continue
		}
		eventually(t, "a floods to b again after a route to "+c.to, floods)
		must(t, a.kernel.do(func() {
			if _, ok := a.kernel.known[datapath.VNI(own)]; ok {
				t.Errorf("a route to %s: the network without hosts was settled", c.to)
			}
		}))
	}
}

// vni is a network's.
func (h host) vni(t *testing.T, network string) uint32 {
	t.Helper()
	n, ok := h.view.network(network)
	if !ok {
		t.Fatalf("no network %s", network)
	}
	return n.VNI
}
