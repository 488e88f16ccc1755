package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Balance steers packets of networks that are to be, by load, until ctx ends.
	Balance(ctx context.Context) error
	SteeringStatus(ctx context.Context) datapath.SteeringStatus
	ShortcutStatus(ctx context.Context) datapath.ShortcutStatus
	tracer
	// Split says whether first stages may be split; it takes effect when a steered network is ensured.
	Split(on bool)
}

// tracer notes which way each flow of a network goes.
type tracer interface {
	StartTrace(vni datapath.VNI, length time.Duration) error
	Trace() (datapath.Trace, error)
	EndTrace() error
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
	modes    modes
	log      logrus.FieldLogger
	trouble  *troubles

	gate chan struct{} // holds one token: whoever has it may change the kernel

	dirty pending[string]
	moved pending[endpointKey] // local endpoints whose devices went to another place
	wake  chan struct{}        // capacity 1: there is something dirty or moved

	rules chan struct{} // capacity 1: netfilter rules changed
}

func newReconciler(cfg Config, v *view, u *underlay, t *troubles) *reconciler {
	r := &reconciler{
		dp: cfg.Datapath, view: v, host: cfg.HostID, underlay: u, log: cfg.Log, trouble: t,
		modes: modes{v, cfg.HostID, cfg.Steering, cfg.Shortcut, &experiment{}},
		gate:  make(chan struct{}, 1), wake: make(chan struct{}, 1), rules: make(chan struct{}, 1),
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
	r.dirty.add(network)
	signal(r.wake)
}

// signal tells whoever listens on a channel of capacity 1, once for any number of signals not yet heard.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
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

// run settles what became dirty, and everything every interval, until ctx ends.
func (r *reconciler) run(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
			r.settleMoved(ctx)
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
	for _, network := range slices.Sorted(slices.Values(r.dirty.take())) {
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
