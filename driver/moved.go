package driver

import (
	"context"
	"strings"
)

// endpointKey names an endpoint.
type endpointKey struct{ network, id string }

// markMoved asks for single endpoints to be settled soon: what belongs to the container's end of a veth can be done only once
// Docker has moved it into the container, which it does after Join.
func (r *reconciler) markMoved(keys ...endpointKey) {
	if len(keys) == 0 {
		return
	}
	r.moved.add(keys...)
	signal(r.wake)
}

// settleMoved settles them. One that fails is its network's concern.
func (r *reconciler) settleMoved(ctx context.Context) {
	for _, k := range r.moved.take() {
		if err := r.endpoint(ctx, k.network, k.id); err != nil && ctx.Err() == nil {
			r.log.WithError(err).WithField("endpoint", k.id).Warn("reconcile failed, it will be repeated")
			r.markDirty(k.network)
		}
	}
}

// endpointsOf returns a host's endpoints whose IDs begin so.
func (v *view) endpointsOf(host, start string) []endpointKey {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var found []endpointKey
	for network, endpoints := range v.endpoints {
		for id, e := range endpoints {
			if e.Host == host && strings.HasPrefix(id, start) {
				found = append(found, endpointKey{network, id})
			}
		}
	}
	return found
}
