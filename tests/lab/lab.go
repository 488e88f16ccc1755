// Package lab makes hosts out of namespaces, with engines, falcons and an etcd of their own, on a private
// switch. It needs root and nothing else of the machine.
//
// What it promises:
//   - Nothing touches the machine's network namespace, its engine, or its files, but for a directory in /tmp
//     and cgroups that are named after the lab.
//   - In a host everything is at its default path, so that commands work as documented.
//   - Whatever runs in a lab ends with it: by Close, or when its creator dies, however it dies. Directories
//     and cgroups that a dead creator leaves are removed by the next lab.
//
// How: each host is a process 1 that holds network, mount, PID, UTS and IPC namespaces.
//
//	           switch (bridge)          10.99.0.0/24, fd99::/64
//	    ┌─────────┼─────────┐
//	eth0 .1    eth0 .2    eth0 .250
//	   h1         h2        etcd
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Options say what a lab consists of. The zero value makes two bare hosts.
type Options struct {
	Hosts  int            // h1, h2, ...; 2 when zero
	MTU    int            // of the underlay; 1500 when zero
	Docker *DockerOptions // an engine with the lab's image on every host
	Falcon *FalconOptions // a falcon on every host, joined by etcd if there is one
	Etcd   bool           // an etcd on a host of its own
}

// Lab is a set of hosts. See the package's description.
type Lab struct {
	Name  string
	Hosts []*Host
	Etcd  *Daemon // nil without Options.Etcd

	options  Options
	dir      string
	lock     *os.File // of dir; see lockDir
	wire     *Host    // the switch
	etcdHost *Host
	image    []byte
}

// Start makes a lab. The caller closes it. Context is for the start only.
func Start(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	if err := Sweep(); err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	l, err := newLab(o)
	if err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	if err := l.start(ctx); err != nil {
		return nil, fmt.Errorf("start lab: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Hosts == 0 {
		o.Hosts = 2
	}
	if o.Hosts < 0 || o.Hosts > maxHosts {
		return o, fmt.Errorf("%d hosts: from 1 to %d are possible", o.Hosts, maxHosts)
	}
	if o.MTU == 0 {
		o.MTU = 1500
	}
	if o.Falcon != nil {
		falcon := *o.Falcon
		if err := falcon.complete(); err != nil {
			return o, err
		}
		o.Falcon = &falcon
	}
	return o, nil
}

func newLab(o Options) (*Lab, error) {
	dir, err := os.MkdirTemp(tmpDir, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Lab{Name: filepath.Base(dir), options: o, dir: dir, lock: lock}, nil
}

func (l *Lab) start(ctx context.Context) error {
	if err := os.Mkdir(filepath.Join(l.dir, "bin"), 0o755); err != nil {
		return err
	}
	if l.options.Falcon != nil {
		if err := l.Install(l.options.Falcon.Binary, "falcon"); err != nil {
			return err
		}
	}
	if err := l.startSwitch(ctx); err != nil {
		return err
	}
	if l.options.Docker != nil {
		var err error
		if l.image, err = Image(ctx); err != nil {
			return err
		}
	}
	if err := l.startEtcd(ctx); err != nil {
		return err
	}
	return l.startHosts(ctx)
}

// startHosts boots all hosts at once. One that came up is in l.Hosts, for Close, even when another failed.
func (l *Lab) startHosts(ctx context.Context) error {
	hosts := make([]*Host, l.options.Hosts)
	g, ctx := errgroup.WithContext(ctx)
	for i := range hosts {
		g.Go(func() error {
			h, err := newHost(ctx, l, hostName(i+1), i+1)
			if err != nil {
				return err
			}
			hosts[i] = h
			return l.equip(ctx, h)
		})
	}
	err := g.Wait()
	l.Hosts = slices.DeleteFunc(hosts, func(h *Host) bool { return h == nil })
	return err
}

// equip connects a host and starts what runs on it.
func (l *Lab) equip(ctx context.Context, h *Host) error {
	if err := l.connect(ctx, h); err != nil {
		return err
	}
	if l.options.Falcon != nil {
		h.Plugin = newPlugin(h, *l.options.Falcon)
		if err := h.Plugin.Start(ctx); err != nil {
			return err
		}
	}
	if l.options.Docker != nil {
		h.Engine = newEngine(h, *l.options.Docker)
		if err := h.Engine.Start(ctx); err != nil {
			return err
		}
		return importImage(ctx, h, l.image)
	}
	return nil
}

// Close ends all that runs in the lab and removes all that is left of it. It is idempotent.
func (l *Lab) Close() error {
	if l.lock == nil {
		return nil
	}
	var errs []error
	for _, h := range append(slices.Clone(l.Hosts), l.etcdHost, l.wire) {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	errs = append(errs, removeLab(l.dir), l.lock.Close())
	l.lock = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close lab %s: %w", l.Name, err)
	}
	return nil
}
