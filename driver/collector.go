package driver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"falcon/store"
)

// collector takes away what crashes leave behind: endpoints whose container is gone, networks and pools that
// Docker does not have any more, addresses without an endpoint. Docker tells nobody of these: it ignores
// failed deletions, and a forced clean-up skips the driver.
//
// Something is collected only when it has looked abandoned on every pass for the grace period: a request for
// it may be under way.
type collector struct {
	d     *Driver
	since map[string]time.Time // what looks abandoned, and since when; used by pass alone
	now   func() time.Time
}

func newCollector(d *Driver) *collector {
	return &collector{d: d, since: map[string]time.Time{}, now: time.Now}
}

func (c *collector) run(ctx context.Context, interval time.Duration) error {
	return every(ctx, interval, func() {
		// An outage of the store is reported where it is noticed first.
		if err := c.pass(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
			c.d.log.WithError(err).Warn("collecting leftovers incomplete, it will be repeated")
		}
	})
}

// pass looks at everything of this host once.
func (c *collector) pass(ctx context.Context) error {
	if !c.d.view.isReady() {
		return nil
	}
	seen := map[string]bool{}
	failures := []error{c.endpoints(ctx, seen), c.networks(ctx, seen), c.addresses(ctx)}
	for key := range c.since {
		if !seen[key] {
			delete(c.since, key)
		}
	}
	return errors.Join(failures...)
}

// due notes that key looks abandoned now and tells whether it has for longer than the grace period.
func (c *collector) due(key string, seen map[string]bool) bool {
	seen[key] = true
	now := c.now()
	if first, ok := c.since[key]; ok {
		return now.Sub(first) >= c.d.cfg.Grace
	}
	c.since[key] = now
	return false
}

// gone tells whether an endpoint has no container: it never joined one, left it, or its namespace is no more.
func (c *collector) gone(e store.Endpoint) bool {
	return e.Sandbox == "" || c.d.cfg.Datapath.SandboxGone(e.Sandbox)
}

func (c *collector) lives(e store.Endpoint) bool { return !c.gone(e) }

// abandoned tells at once, for a request that an old endpoint stands in the way of, whether that endpoint is a
// leftover. One that has not joined yet may be another request's, so only a lost namespace counts.
func (c *collector) abandoned(network, id string) bool {
	e, ok := c.d.view.endpoint(network, id)
	return ok && e.Host == c.d.host && e.Sandbox != "" && c.d.cfg.Datapath.SandboxGone(e.Sandbox)
}

func (c *collector) endpoints(ctx context.Context, seen map[string]bool) error {
	var failures []error
	for _, e := range c.d.view.locals(c.d.host, "") {
		if !c.gone(e) || !c.due(store.EndpointKey(e.Network, e.ID), seen) {
			continue
		}
		c.d.log.WithFields(logrus.Fields{"endpoint": short(e.ID), "network": e.Network, "sandbox": e.Sandbox}).
			Info("collecting an endpoint without a container")
		failures = append(failures, c.d.dropEndpoint(ctx, e))
	}
	return errors.Join(failures...)
}

// networks collects memberships and pools that the engine knows nothing of. Without an engine's answer it
// collects none.
func (c *collector) networks(ctx context.Context, seen map[string]bool) error {
	if c.d.cfg.Engine == nil {
		return nil
	}
	known, err := c.d.cfg.Engine.Networks(ctx)
	c.d.trouble.set("docker engine", err)
	if err != nil {
		return nil // noted above; the engine may well be down
	}
	byID := map[string]bool{}
	for _, n := range known {
		byID[n.ID] = true
	}
	var failures []error
	for _, m := range c.d.view.memberships(c.d.host) {
		if byID[m.DockerID] || slices.ContainsFunc(c.d.view.locals(c.d.host, m.Network), c.lives) {
			continue
		}
		// Its time runs while leftovers are still in it: those of one crash go in one pass.
		if !c.due(store.MemberKey(m.Network, m.Host), seen) || len(c.d.view.locals(c.d.host, m.Network)) > 0 {
			continue
		}
		c.d.log.WithFields(logrus.Fields{"network": m.Network, "docker_id": short(m.DockerID)}).
			Info("collecting a network that Docker does not have")
		failures = append(failures, c.d.leaveNetwork(ctx, m.Network))
	}
	collected, err := c.d.cfg.Pools.CollectPools(ctx, func(prefix netip.Prefix, scope string) bool {
		return poolInUse(known, prefix, scope)
	}, c.d.cfg.Grace, c.now())
	if collected > 0 {
		c.d.log.WithField("pools", collected).Info("collected address pools that Docker does not use")
	}
	return errors.Join(append(failures, err)...)
}

// poolInUse tells whether one of the engine's networks stands on a pool of falcon's.
func poolInUse(known []EngineNetwork, prefix netip.Prefix, scope string) bool {
	for _, n := range known {
		if n.IPAMDriver != DriverName || n.Scope != "" && n.Scope != scope {
			continue
		}
		for _, subnet := range n.Subnets {
			if subnet == prefix {
				return true
			}
		}
	}
	return false
}

func (c *collector) addresses(ctx context.Context) error {
	var failures []error
	for _, m := range c.d.view.memberships(c.d.host) {
		collected, err := c.d.cfg.Pools.Collect(ctx, m.Network, c.d.cfg.Grace, c.now())
		failures = append(failures, err)
		if collected > 0 {
			c.d.log.WithFields(logrus.Fields{"network": m.Network, "addresses": collected}).
				Info("collected addresses without an endpoint")
		}
	}
	return errors.Join(failures...)
}
