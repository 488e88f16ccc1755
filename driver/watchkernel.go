package driver

import (
	"context"
	"net/netip"
	"time"

	"falcon/datapath"
)

const (
	// rewatchPause keeps a watch that cannot be made from being tried in a loop.
	rewatchPause = 5 * time.Second
	// rulesPause bounds how often rules that keep changing are looked at: kube-proxy writes many at a time.
	rulesPause = 100 * time.Millisecond
)

// watchKernel has what others delete repaired at once. The timer of run finds what it misses.
func (r *reconciler) watchKernel(ctx context.Context) error {
	for ctx.Err() == nil {
		err := r.dp.Watch(ctx, kernelEvents{r})
		if ctx.Err() != nil {
			break
		}
		r.trouble.set("kernel events", err)
		pause(ctx, rewatchPause)
	}
	return nil
}

// kernelEvents keeps Watch's methods out of the reconciler's own.
type kernelEvents struct{ r *reconciler }

func (k kernelEvents) RulesChanged() { signal(k.r.rules) }

// LinkGone marks the network dirty that the device should be part of. After a removal of our own there is none.
func (k kernelEvents) LinkGone(name string) {
	for _, m := range k.r.view.memberships(k.r.host) {
		n, ok := k.r.view.network(m.Network)
		vni := datapath.VNI(n.VNI)
		if ok && (name == datapath.BridgeDevice(vni) || name == datapath.VXLANDevice(vni)) {
			k.r.markDirty(m.Network)
		}
	}
	if start, ok := datapath.EndpointOfDevice(name); ok {
		for _, e := range k.r.view.endpointsOf(k.r.host, start) {
			k.r.markDirty(e.network)
		}
	}
	if start, ok := datapath.EndpointOfContainerDevice(name); ok {
		k.r.markMoved(k.r.view.endpointsOf(k.r.host, start)...)
	}
}

// RouteChanged marks the networks dirty that have hosts there.
func (k kernelEvents) RouteChanged(to netip.Prefix) {
	for _, n := range k.r.view.networksWithHosts(k.r.host, to) {
		k.r.markDirty(n)
	}
}

// followRules puts our netfilter rules back when others' changes swept them away.
func (r *reconciler) followRules(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.rules:
		}
		r.ensureHost(ctx)
		pause(ctx, rulesPause)
	}
}

func (r *reconciler) ensureHost(ctx context.Context) {
	_, err := r.dp.EnsureHost(ctx)
	if ctx.Err() == nil {
		r.trouble.set("netfilter", err)
	}
}
