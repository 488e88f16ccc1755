package driver

import (
	"context"
	"net/netip"
	"slices"

	"falcon/store"
)

// follow settles what a commit changed. Failures are left to a full pass.
func (r *reconciler) follow(ctx context.Context, changes []change) {
	for _, c := range changes {
		_, member := r.view.membership(r.host, c.network)
		switch {
		case c.kind == store.HostsPrefix:
			r.markHostDirty(c.host)
		case !member && c.kind == store.MembersPrefix && c.host == r.host:
			r.markDirty(leftovers)
		case !member:
		case c.kind != store.EndpointsPrefix:
			r.markDirty(c.network)
		default:
			if err := r.followEndpoint(ctx, c); err != nil {
				r.log.WithError(err).WithField("network", c.network).Warn("endpoint not settled, the network will be reconciled")
				r.markDirty(c.network)
			}
		}
	}
}

// leftovers stands, among dirty networks, for those that this host is no member of any more.
const leftovers = ""

func (r *reconciler) followEndpoint(ctx context.Context, c change) error {
	id := ""
	switch {
	case c.after != nil && c.after.Host == r.host:
		id = c.after.ID
	case c.before != nil && c.before.Host == r.host:
		id = c.before.ID
	default:
		return r.followRemote(ctx, c)
	}
	return r.endpoint(ctx, c.network, id)
}

// followRemote replaces a remote endpoint's entries. What it held may belong to another endpoint by now
// (a container that moved keeps its address): that one is settled again after the removal.
func (r *reconciler) followRemote(ctx context.Context, c change) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s, ok := r.view.scene(c.network)
	if !ok {
		return nil
	}
	n := r.devicesOf(s.network)
	switch {
	case c.before == nil && c.after == nil:
		return nil
	case c.before == nil:
		if far, ok := remote(s.hosts, *c.after); ok {
			return r.dp.AddRemote(ctx, n, far)
		}
		return nil // its host's record will tell
	case c.after != nil && samePlace(*c.before, *c.after):
		return nil // it joined or left a container
	case c.after != nil:
		r.markDirty(c.network)
		return nil
	}
	for _, e := range s.endpoints {
		if overlaps(e, *c.before) {
			r.markDirty(c.network)
			return nil // a full pass replaces the entries in place
		}
	}
	if far, ok := remote(s.hosts, *c.before); ok {
		return r.dp.RemoveRemote(ctx, n, far)
	}
	return nil
}

// samePlace tells whether two records of an endpoint are forwarded to alike.
func samePlace(a, b store.Endpoint) bool {
	return a.Host == b.Host && a.MAC == b.MAC && slices.Equal(a.Addresses, b.Addresses)
}

// overlaps tells whether two endpoints share a forwarding or neighbour entry.
func overlaps(a, b store.Endpoint) bool {
	if a.MAC == b.MAC {
		return true
	}
	return slices.ContainsFunc(a.Addresses, func(p netip.Prefix) bool { return slices.Contains(b.Addresses, p) })
}

// markHostDirty asks for a pass over all networks shared with a host.
func (r *reconciler) markHostDirty(host string) {
	if host == r.host {
		return
	}
	for _, m := range r.view.memberships(r.host) {
		if _, shared := r.view.membership(host, m.Network); shared {
			r.markDirty(m.Network)
		}
	}
}
