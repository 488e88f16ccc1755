package driver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"falcon/datapath"
	"falcon/store"
)

// What callers test for with errors.Is.
var (
	ErrUnknownNetwork  = errors.New("network is not known to falcon")
	ErrUnknownEndpoint = errors.New("endpoint is not known to falcon")
	ErrInUse           = errors.New("in use")
	ErrTaken           = errors.New("taken")
)

// Pools is what the driver tells the IPAM driver of the same process: which pools a network stands on, and
// what a crash may have left in them.
type Pools interface {
	// KindOf tells as what an address is held: one of store's kinds, or empty.
	KindOf(ctx context.Context, network string, address netip.Prefix) (string, error)
	Bind(ctx context.Context, addressSpace, network string, subnets ...netip.Prefix) error
	Unbind(ctx context.Context, network string) error
	Collect(ctx context.Context, network string, olderThan time.Duration, now time.Time) (int, error)
	CollectPools(ctx context.Context, inUse func(prefix netip.Prefix, named string) bool, olderThan time.Duration, now time.Time) (int, error)
}

// Config is what a Driver needs. All fields are required unless they say otherwise.
type Config struct {
	HostID   string
	HostName string
	Version  string
	Store    store.Store
	Datapath Datapath
	Pools    Pools
	Engine   Engine        // optional: without it, networks that Docker has forgotten are not found
	Underlay string        // optional: interface or address; by the default route if empty
	Port     uint16        // UDP port of the VXLAN devices
	Steering datapath.Mode // of networks whose options do not say
	Shortcut string
	Split    string
	Log      logrus.FieldLogger

	// Interval between full reconciles, and how long something must look abandoned before it is
	// collected. Zero: the defaults below.
	Interval time.Duration
	Grace    time.Duration
}

const (
	defaultInterval = 30 * time.Second
	// Docker repeats a call that failed for about 30 s (moby, pkg/plugins/client.go): whatever is
	// younger than that may still be in the making.
	defaultGrace = 45 * time.Second
	// relistPause keeps a store that answers lists and breaks watches from being listed in a loop.
	relistPause = time.Second
	// readyPatience is how long a request waits for the first read of the store.
	readyPatience = 5 * time.Second
)

// Driver is the control plane of one host.
type Driver struct {
	cfg        Config
	log        logrus.FieldLogger
	host       string
	store      store.Store
	view       *view
	underlay   *underlay
	reconciler *reconciler
	collector  *collector
	trouble    *troubles
	ready      chan struct{} // closed when the first full pass is over
	recordLost chan struct{} // capacity 1: this host's record is not what it should be
}

// New checks the configuration and looks at the underlay. It changes nothing yet.
func New(ctx context.Context, cfg Config) (*Driver, error) {
	switch {
	case cfg.HostID == "":
		return nil, errors.New("configure driver: no host ID")
	case cfg.Store == nil || cfg.Datapath == nil || cfg.Pools == nil || cfg.Log == nil:
		return nil, errors.New("configure driver: store, datapath, pools and log are required")
	case cfg.Port == 0:
		return nil, errors.New("configure driver: VXLAN port 0: must be 1 to 65535")
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Grace == 0 {
		cfg.Grace = defaultGrace
	}
	d := &Driver{
		cfg: cfg, log: cfg.Log, host: cfg.HostID, store: cfg.Store,
		view: newView(), trouble: newTroubles(cfg.Log),
		underlay: &underlay{dp: cfg.Datapath, which: cfg.Underlay, port: cfg.Port},
		ready:    make(chan struct{}), recordLost: make(chan struct{}, 1),
	}
	if _, err := d.underlay.refresh(ctx); err != nil {
		return nil, err
	}
	d.reconciler = newReconciler(cfg, d.view, d.underlay, d.trouble)
	d.collector = newCollector(d)
	return d, nil
}

// Ready is closed when the store has been read and the kernel follows it.
func (d *Driver) Ready() <-chan struct{} { return d.ready }

func (d *Driver) isReady() bool {
	select {
	case <-d.ready:
		return true
	default:
		return false
	}
}

// Run keeps the kernel in line with the store until ctx ends. Devices stay when it returns: traffic flows on.
func (d *Driver) Run(ctx context.Context) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.followStore(ctx) })
	tasks.Go(func() error { return d.reconciler.run(ctx, d.cfg.Interval) })
	tasks.Go(func() error { return d.reconciler.watchKernel(ctx) })
	tasks.Go(func() error { return d.reconciler.followRules(ctx) })
	tasks.Go(func() error { return d.collector.run(ctx, d.cfg.Interval) })
	tasks.Go(func() error { return d.watchUnderlay(ctx, d.cfg.Interval) })
	tasks.Go(func() error { return d.keepRegistered(ctx) })
	tasks.Go(func() error { return d.cfg.Datapath.Balance(ctx) })
	tasks.Go(func() error {
		err := d.store.KeepAlive(ctx, store.AliveKey(d.host), []byte(d.cfg.HostName))
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	return tasks.Wait()
}

// followStore lists the store, settles the kernel, and then follows the changes; and again from the start when
// the history breaks off.
func (d *Driver) followStore(ctx context.Context) error {
	for ctx.Err() == nil {
		err := d.followOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		d.trouble.set("store", err)
		pause(ctx, relistPause)
	}
	return nil
}

func (d *Driver) followOnce(ctx context.Context) error {
	records, revision, err := d.store.List(ctx, "")
	if err != nil {
		return err
	}
	d.view.reset(records, revision)
	if err := d.register(ctx); err != nil {
		return err
	}
	d.trouble.set("store", nil)
	if err := d.reconciler.all(ctx); err != nil {
		d.log.WithError(err).Warn("reconcile incomplete, it will be repeated")
	}
	if !d.isReady() {
		close(d.ready)
	}
	return d.store.Watch(ctx, "", revision, func(revision int64, events []store.Event) {
		changes := d.view.follow(revision, events)
		if slices.ContainsFunc(changes, func(c change) bool { return c.kind == store.HostsPrefix && c.host == d.host }) {
			signal(d.recordLost)
		}
		d.reconciler.follow(ctx, changes)
	})
}

// register writes this host's record where it differs from what the store has.
func (d *Driver) register(ctx context.Context) error {
	self := store.Host{
		ID: d.host, Name: d.cfg.HostName, Underlay: d.underlay.current().Address, Port: d.cfg.Port, Version: d.cfg.Version,
	}
	if known, ok := d.view.host(d.host); ok && known == self {
		return nil
	}
	if err := d.commit(ctx, nil, store.Write{Key: store.HostKey(d.host), Value: store.Encode(self)}); err != nil {
		return fmt.Errorf("register host %s: %w", d.cfg.HostName, err)
	}
	return nil
}

// keepRegistered writes this host's record anew when it is to change, or somebody has deleted it: by it the
// other hosts know where to send. The pause is for two hosts with one ID, which would take turns.
func (d *Driver) keepRegistered(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.recordLost:
		}
		err := d.register(ctx)
		if err != nil {
			signal(d.recordLost)
		}
		if ctx.Err() == nil {
			d.trouble.set("host record", err)
		}
		pause(ctx, relistPause)
	}
}

// watchUnderlay notices a changed address or MTU of the underlay and tells the other hosts.
func (d *Driver) watchUnderlay(ctx context.Context, interval time.Duration) error {
	return every(ctx, interval, func() {
		moved, err := d.underlay.refresh(ctx)
		d.trouble.set("underlay", err)
		if !moved || !d.view.isReady() {
			return
		}
		d.log.WithField("address", d.underlay.current().Address).Info("underlay address changed")
		signal(d.recordLost)
		if err := d.reconciler.all(ctx); err != nil {
			d.log.WithError(err).Warn("underlay change not settled, it will be repeated")
		}
	})
}

// commit writes the store and, at once, the view.
func (d *Driver) commit(ctx context.Context, conditions []store.Condition, writes ...store.Write) error {
	revision, err := d.store.Commit(ctx, conditions, writes)
	if err != nil {
		return err
	}
	events := make([]store.Event, len(writes))
	for i, w := range writes {
		events[i] = store.Event{Record: store.Record{Key: w.Key, Value: w.Value, Revision: revision}, Deleted: w.Value == nil}
	}
	d.view.apply(revision, events)
	return nil
}

// checkReady fails as long as the store has not been read: what Docker asks for cannot be judged without it. At
// boot Docker is often faster than the first read, so it is waited for a little.
func (d *Driver) checkReady(ctx context.Context) error {
	if d.view.isReady() {
		return nil
	}
	patience := time.NewTimer(readyPatience)
	defer patience.Stop()
	select {
	case <-d.ready:
		return nil
	case <-ctx.Done():
	case <-patience.C:
	}
	status := d.store.Status(ctx)
	return fmt.Errorf("%w: %s at %s has not been read yet (%s): check it and --store, then try again",
		store.ErrUnavailable, status.Kind, status.Where, status.Error)
}
