// Package datapath is Falcon's side of the kernel: the devices of overlay networks and endpoints, what they
// forward, and the programs and rules around them. Nothing else in Falcon talks to netlink, netfilter or eBPF,
// and this package knows nothing of Docker, stores or other parts of Falcon.
//
// What it promises:
//
//   - Every operation is idempotent, and says in its Change whether it had anything to do.
//   - Every device of ours carries a tag in its alias. A device that does not is never touched, whatever its
//     name.
//   - Nothing is concluded, least of all that something is stale, from a listing that was interrupted.
//   - What was built keeps working when the process is gone.
//
// Operations on different networks may run at the same time. Those on one network are for the caller to put
// into an order: a SyncForwarding removes what its Forwarding lacks.
package datapath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netns"
)

// Config says where and how a Datapath works.
type Config struct {
	// Netns is the path of the host's network namespace; empty: the namespace that the process is in.
	Netns string
	// HostRoot is the directory where the process sees the root of the host's file system, in which sandboxes are named; empty: its own
	// root.
	HostRoot string
	Steering SteeringConfig
	Shortcut ShortcutConfig
	Log      logrus.FieldLogger
}

// Datapath works on the kernel of one host. Its methods may be called from several goroutines.
type Datapath struct {
	rt    *rtnl
	netns netns.NsHandle
	root  hostRoot
	log   logrus.FieldLogger
	guard guard
	sysfs sysfsCache // of the host's namespace
	steer *steer
	short *shortcut
	close sync.Once
}

// Open prepares a Datapath; it changes nothing on the host.
func Open(c Config) (*Datapath, error) {
	d := &Datapath{netns: netns.None(), root: hostRoot(c.HostRoot), log: c.Log, steer: newSteer(c.Steering), short: newShortcut(c.Shortcut)}
	if d.log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		d.log = silent
	}
	if c.Netns != "" {
		ns, err := netns.GetFromPath(c.Netns)
		if err != nil {
			return nil, fmt.Errorf("open network namespace %s: %w", c.Netns, err)
		}
		d.netns = ns
	}
	rt, err := openRTNL(d.netns)
	if err != nil {
		return nil, errors.Join(err, d.closeNetns())
	}
	d.rt = rt
	return d, nil
}

// Close releases what Open took. What was built on the host stays and keeps working.
func (d *Datapath) Close() error {
	var err error
	d.close.Do(func() {
		d.rt.Close()
		err = errors.Join(d.guard.close(), d.closeSteering(), d.closeShortcut(), d.sysfs.close(), d.closeNetns())
	})
	return err
}

func (d *Datapath) closeNetns() error {
	if !d.netns.IsOpen() {
		return nil
	}
	return d.netns.Close()
}

// inHost runs f on a thread that is in the host's network namespace.
func (d *Datapath) inHost(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return inNetns(d.netns, f)
}
