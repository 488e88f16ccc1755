package driver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"falcon/datapath"
	"falcon/store"
)

// devices makes and removes what a packet crosses on this host.
type devices interface {
	EnsureNetwork(ctx context.Context, n datapath.Network) (datapath.Change, error)
	RemoveNetwork(ctx context.Context, vni datapath.VNI) error
	EnsureEndpoint(ctx context.Context, e datapath.Endpoint) (datapath.Change, error)
	RemoveEndpoint(ctx context.Context, id string) error
	Owned(ctx context.Context) (datapath.Owned, error)
	RemoveUnfinished(ctx context.Context) (int, error)
}

// forwarder tells a network's devices where endpoints are.
type forwarder interface {
	AddRemote(ctx context.Context, n datapath.Network, r datapath.Remote) error
	RemoveRemote(ctx context.Context, n datapath.Network, r datapath.Remote) error
	SyncForwarding(ctx context.Context, n datapath.Network, f datapath.Forwarding) (datapath.Change, error)
}

// surroundings is what the driver asks and tells the host beyond its own devices.
type surroundings interface {
	Underlay(ctx context.Context, which string) (datapath.Underlay, error)
	TakenVNIs(ctx context.Context, port uint16) (map[datapath.VNI]string, error)
	EnsureHost(ctx context.Context) (datapath.Change, error)
	Watch(ctx context.Context, w datapath.Watcher) error
	SandboxGone(path string) bool
}

// Datapath is the kernel as the driver needs it; package datapath has the real one.
type Datapath interface {
	devices
	forwarder
	surroundings
}

// reconciler makes the kernel follow the view. Its methods are level-triggered: they take the wanted state from
// the view at the moment they run, so calling one too often or late does no harm.
type reconciler struct {
	dp       Datapath
	view     *view
	host     string
	underlay *underlay
	log      logrus.FieldLogger
	trouble  *troubles

	gate chan struct{} // holds one token: whoever has it may change the kernel

	mu    sync.Mutex // guards dirty; a leaf
	dirty map[string]bool
	wake  chan struct{} // capacity 1: there is something dirty

	rules chan struct{} // capacity 1: netfilter rules changed
}

func newReconciler(cfg Config, v *view, u *underlay, t *troubles) *reconciler {
	r := &reconciler{
		dp: cfg.Datapath, view: v, host: cfg.HostID, underlay: u, log: cfg.Log, trouble: t,
		gate: make(chan struct{}, 1), dirty: map[string]bool{}, wake: make(chan struct{}, 1),
		rules: make(chan struct{}, 1),
	}
	r.gate <- struct{}{}
	return r
}

// enter waits for the right to change the kernel; the function returned gives it back.
func (r *reconciler) enter(ctx context.Context) (func(), error) {
	select {
	case <-r.gate:
		return func() { r.gate <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the kernel: %w", ctx.Err())
	}
}

// markDirty asks for a full pass over a network soon: something could not be done just now.
func (r *reconciler) markDirty(network string) {
	r.mu.Lock()
	r.dirty[network] = true
	r.mu.Unlock()
	signal(r.wake)
}

// signal tells whoever listens on a channel of capacity 1, once for any number of signals not yet heard.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *reconciler) takeDirty() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var networks []string
	for n := range r.dirty {
		networks = append(networks, n)
	}
	clear(r.dirty)
	slices.Sort(networks)
	return networks
}

// devicesOf derives the kernel's description of a network from its record.
func (r *reconciler) devicesOf(n store.Network) datapath.Network {
	u := r.underlay.current()
	return datapath.Network{
		Name: n.Name, VNI: datapath.VNI(n.VNI), MTU: n.MTU, Local: u.Address, Port: r.underlay.port,
	}
}

// network settles one network whole: devices, endpoints, forwarding.
func (r *reconciler) network(ctx context.Context, name string) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return r.networkLocked(ctx, name)
}

func (r *reconciler) networkLocked(ctx context.Context, name string) error {
	s, ok := r.view.scene(name)
	if _, member := s.members[r.host]; !ok || !member {
		return nil // removal is the business of all, or of whoever took the membership away
	}
	n := r.devicesOf(s.network)
	changed, err := r.dp.EnsureNetwork(ctx, n)
	if err != nil {
		return fmt.Errorf("ensure network %s: %w", name, err)
	}
	var failures []error
	for _, e := range s.endpoints {
		if e.Host != r.host {
			continue
		}
		c, err := r.ensureLocal(ctx, s.network, e)
		changed = changed.Add(c)
		failures = append(failures, err)
	}
	c, err := r.dp.SyncForwarding(ctx, n, r.forwarding(s))
	failures = append(failures, err)
	if changed = changed.Add(c); changed != (datapath.Change{}) {
		r.log.WithFields(logrus.Fields{"network": name, "added": changed.Added, "removed": changed.Removed}).
			Debug("network reconciled")
	}
	return errors.Join(failures...)
}

// ensureLocal settles an endpoint of this host. One whose sandbox is gone has nothing to be rebuilt for: the
// collector takes it.
func (r *reconciler) ensureLocal(ctx context.Context, n store.Network, e store.Endpoint) (datapath.Change, error) {
	local, err := r.localEndpoint(n, e)
	if err != nil {
		return datapath.Change{}, err
	}
	c, err := r.dp.EnsureEndpoint(ctx, local)
	if errors.Is(err, datapath.ErrSandboxGone) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("ensure endpoint %s: %w", e.ID, err)
	}
	return c, nil
}

func (r *reconciler) localEndpoint(n store.Network, e store.Endpoint) (datapath.Endpoint, error) {
	mac, err := datapath.ParseMAC(e.MAC)
	if err != nil {
		return datapath.Endpoint{}, fmt.Errorf("endpoint %s: %w", e.ID, err)
	}
	return datapath.Endpoint{
		ID: e.ID, Network: n.Name, VNI: datapath.VNI(n.VNI), MTU: n.MTU, MAC: mac,
		Addresses: e.Addresses, Sandbox: e.Sandbox, Routes: otherSubnets(n, e.Addresses),
	}, nil
}

// otherSubnets returns the subnets of a network in which an endpoint has no address: they are on its link too.
// A family that the endpoint does not have is left out.
func otherSubnets(n store.Network, addresses []netip.Prefix) []netip.Prefix {
	var others []netip.Prefix
	for _, subnet := range n.Subnets {
		own, family := false, false
		for _, a := range addresses {
			own = own || subnet.Contains(a.Addr())
			family = family || subnet.Addr().Is4() == a.Addr().Is4()
		}
		if family && !own {
			others = append(others, subnet)
		}
	}
	return others
}

// remote describes an endpoint of another host; false when it cannot be reached, because that host has not
// said where it is.
func remote(hosts map[string]store.Host, e store.Endpoint) (datapath.Remote, bool) {
	h, ok := hosts[e.Host]
	mac, err := datapath.ParseMAC(e.MAC)
	if !ok || !h.Underlay.IsValid() || err != nil {
		return datapath.Remote{}, false
	}
	r := datapath.Remote{MAC: mac, Host: h.Underlay}
	for _, a := range e.Addresses {
		r.Addresses = append(r.Addresses, a.Addr())
	}
	return r, true
}

func (r *reconciler) forwarding(s scene) datapath.Forwarding {
	f := datapath.Forwarding{Local: map[string]datapath.Endpoint{}, Remote: map[string]datapath.Remote{}}
	for id, e := range s.endpoints {
		if e.Host == r.host {
			if local, err := r.localEndpoint(s.network, e); err == nil {
				f.Local[id] = local
			}
		} else if far, ok := remote(s.hosts, e); ok {
			f.Remote[id] = far
		}
	}
	for host := range s.members {
		if h, ok := s.hosts[host]; ok && host != r.host && h.Underlay.IsValid() {
			f.Flood = append(f.Flood, h.Underlay)
		}
	}
	return f
}

// endpoint settles one local endpoint: there if it is in the view, gone otherwise.
func (r *reconciler) endpoint(ctx context.Context, network, id string) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	n, known := r.view.network(network)
	e, wanted := r.view.endpoint(network, id)
	if !known || !wanted || e.Host != r.host {
		return r.dp.RemoveEndpoint(ctx, id)
	}
	_, err = r.ensureLocal(ctx, n, e)
	return err
}

// leave removes a network's devices unless this host is a member again.
func (r *reconciler) leave(ctx context.Context, network string, vni datapath.VNI) error {
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, member := r.view.membership(r.host, network); member {
		return nil
	}
	return r.dp.RemoveNetwork(ctx, vni)
}

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

// all is the full pass: list, diff, add, then remove what has our tag and no intent.
func (r *reconciler) all(ctx context.Context) error {
	if !r.view.isReady() {
		return nil
	}
	var failures []error
	r.ensureHost(ctx)
	for _, m := range r.view.memberships(r.host) {
		err := r.network(ctx, m.Network)
		r.trouble.set("network "+m.Network, err)
		failures = append(failures, err)
	}
	if err := r.sweep(ctx); err != nil {
		failures = append(failures, fmt.Errorf("remove orphans: %w", err))
	}
	return errors.Join(failures...)
}

// sweep removes devices of ours that nothing in the store stands for. A store with records that cannot be
// read is no ground for removing anything.
func (r *reconciler) sweep(ctx context.Context) error {
	damaged := r.view.damage()
	r.trouble.setDamage(damaged)
	if len(damaged) > 0 {
		return nil
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	unfinished, err := r.dp.RemoveUnfinished(ctx)
	if unfinished > 0 {
		r.log.WithField("devices", unfinished).Info("removed devices that were never finished")
	}
	failures := []error{err}
	owned, err := r.dp.Owned(ctx)
	if err != nil {
		return err
	}
	for _, e := range owned.Endpoints {
		if record, ok := r.view.endpoint(e.Network, e.ID); ok && record.Host == r.host {
			continue
		}
		r.log.WithFields(logrus.Fields{"device": e.Device, "endpoint": e.ID, "network": e.Network}).
			Info("removing a device that no endpoint stands for")
		failures = append(failures, r.dp.RemoveEndpoint(ctx, e.ID))
	}
	for _, n := range owned.Networks {
		record, known := r.view.network(n.Name)
		if _, member := r.view.membership(r.host, n.Name); known && member && record.VNI == uint32(n.VNI) {
			continue
		}
		r.log.WithFields(logrus.Fields{"vni": n.VNI, "network": n.Name}).
			Info("removing the devices of a network that this host is no member of")
		failures = append(failures, r.dp.RemoveNetwork(ctx, n.VNI))
	}
	return errors.Join(failures...)
}

// run settles what became dirty, and everything every interval, until ctx ends.
func (r *reconciler) run(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
			r.settleDirty(ctx)
		case <-tick.C:
			if err := r.all(ctx); err != nil && ctx.Err() == nil {
				r.log.WithError(err).Warn("reconcile incomplete, it will be repeated")
			}
		}
	}
}

// settleDirty settles the dirty networks. One that fails waits for the next full pass.
func (r *reconciler) settleDirty(ctx context.Context) {
	for _, network := range r.takeDirty() {
		var err error
		if network == leftovers {
			err = r.sweep(ctx)
		} else {
			err = r.network(ctx, network)
			r.trouble.set("network "+network, err)
		}
		if err != nil && ctx.Err() == nil {
			r.log.WithError(err).WithField("network", network).Warn("reconcile failed, it will be repeated")
		}
	}
}
