package datapath

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// SteeringConfig says how packets are steered on this host, where they are.
type SteeringConfig struct {
	// Pins is a directory in a bpffs for the maps; DefaultPins if empty.
	Pins string
	// CPUs that packets may be steered to, such as 2-7,10; empty: all that are online and that nobody has set aside.
	CPUs string
	// Port is the UDP port of the VXLAN devices.
	Port uint16
	// Split says whether the first stage of TCP flows may be split, where the balancer finds that it wins.
	Split bool
	// Quiet is after what time of silence none of a flow's packets can be under way any more; the default if 0. A machine that
	// is emulated needs longer.
	Quiet time.Duration
	// Expected: networks are to be steered, so that what keeps them from it is worth telling before there is one.
	Expected bool
}

// DefaultPins is in the bpffs that every distribution mounts.
const DefaultPins = "/sys/fs/bpf/falcon"

// steer applies a steering to devices. Nothing about it may keep a network from working: what cannot be had is noted and left
// out, and packets go the kernel's way.
type steer struct {
	config SteeringConfig

	mu        sync.Mutex // guards all below; held while the kernel is changed, taken after no other lock
	adopted   bool       // what an earlier run has left is known
	programs  *steering  // nil until a network wants them
	line      lineup
	nic       int // index of the device that has falcon_nic, and is known to be the only one; 0: not known
	networks  map[VNI]steeredNetwork
	endpoints map[string]steeredEndpoint // by ID
	problems  problems
	balancer  *balancer     // nil unless it runs
	idle      idleLoad      // for when it does not
	changed   chan struct{} // capacity 1: the balancer is to look again
}

func newSteer(c SteeringConfig) *steer {
	if c.Pins == "" {
		c.Pins = DefaultPins
	}
	if c.Quiet == 0 {
		c.Quiet = quietAfter
	}
	return &steer{
		config: c, networks: map[VNI]steeredNetwork{}, endpoints: map[string]steeredEndpoint{}, problems: problems{},
		changed: make(chan struct{}, 1),
	}
}

// wake has the balancer look again.
func (s *steer) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// adoptSteering takes over, once, what an earlier run has left steering, so that it can be continued or ended.
func (d *Datapath) adoptSteering(ctx context.Context) error {
	s := d.steer
	if s.adopted {
		return nil
	}
	left, err := d.steeredDevices(ctx)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.config.Pins); errors.Is(err, fs.ErrNotExist) && len(left) == 0 {
		s.adopted = true
		return nil
	}
	if err := d.loadSteering(ctx); err != nil {
		return err
	}
	var vni uint32
	var network steerNetwork
	entries := s.programs.objects.Networks.Iterate()
	for entries.Next(&vni, &network) {
		s.networks[VNI(vni)] = steeredNetwork{mode: modeOf(network.Mode), direct: network.Direct != 0}
		s.programs.direct[VNI(vni)] = network.Direct != 0
	}
	if err := entries.Err(); err != nil {
		return err
	}
	for _, vni := range left { // new maps, in the place of another version's or of lost ones, do not tell of these
		if _, known := s.networks[vni]; !known {
			s.networks[vni] = steeredNetwork{mode: Off}
		}
	}
	s.adopted = true
	return d.retireSteering(ctx) // if an earlier run was killed before it did
}

// steeredDevices finds the networks whose VXLAN devices have a program of ours.
func (d *Datapath) steeredDevices(ctx context.Context) (found []VNI, err error) {
	list, err := d.rt.links(ctx, ofKind(kindVXLAN))
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		t, ok := parseTag(l.tag)
		if !ok {
			continue
		}
		has, err := d.attachedHost(ctx, hook{device: l.index}, nameVXLAN)
		if err != nil {
			return nil, err
		}
		if has {
			found = append(found, t.vni)
		}
	}
	return found, nil
}

// loadSteering loads the programs if they are not.
func (d *Datapath) loadSteering(ctx context.Context) error {
	s := d.steer
	if s.programs != nil {
		return nil
	}
	line, err := readLineup(s.config.CPUs)
	if err != nil {
		return err
	}
	err = d.inHost(ctx, func() (err error) {
		s.programs, err = openSteering(s.config, haveTCX())
		return err
	})
	if err != nil {
		return err
	}
	d.noteSteering(problemPrograms, nil)
	s.line = line
	if s.programs.linedUp() != line.all {
		// Masks follow when the devices are looked at.
		err = s.programs.reline(ctx, line, func() error { return nil })
	}
	s.wake()
	return err
}

// retireSteering unloads the programs when no network needs them any more.
func (d *Datapath) retireSteering(ctx context.Context) error {
	s := d.steer
	if len(s.networks) > 0 || s.programs == nil {
		return nil
	}
	if err := d.onlyNIC(ctx, 0); err != nil {
		return err
	}
	if err := d.endSplit(ctx); err != nil {
		return err
	}
	err := errors.Join(d.dropSteering(), os.RemoveAll(s.config.Pins))
	clear(s.endpoints)
	return err
}

// dropSteering lets go of the programs. What is attached and pinned goes on.
func (d *Datapath) dropSteering() error {
	s := d.steer
	var errs []error
	if s.balancer != nil {
		errs = append(errs, s.balancer.close())
	}
	if s.programs != nil {
		errs = append(errs, s.programs.close())
	}
	s.balancer, s.programs = nil, nil
	return errors.Join(errs...)
}

// closeSteering is for the end of the process.
func (d *Datapath) closeSteering() error {
	d.steer.mu.Lock()
	defer d.steer.mu.Unlock()
	return errors.Join(d.dropSteering(), d.steer.idle.close())
}

// problemPrograms is a problem of steering as such.
const problemPrograms = "programs"

// tryPrograms loads the programs, and lets go of them again if there is no network yet that needs them.
func (d *Datapath) tryPrograms(ctx context.Context) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := context.WithoutCancel(ctx) // short, and half of it would leave pins
	err := d.adoptSteering(whole)
	if err == nil {
		err = d.loadSteering(whole)
	}
	if err == nil {
		err = d.retireSteering(whole)
	}
	if ctx.Err() == nil {
		d.noteSteering(problemPrograms, err)
	}
}

// noteSteering keeps what is wrong with a part of steering, or that it is right again.
func (d *Datapath) noteSteering(what string, err error) {
	d.steer.problems.note(d.log, "packets are not steered as they should be", what, err)
}
