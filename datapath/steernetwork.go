package datapath

import (
	"context"
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// steeredNetwork is what the programs were told of a network.
type steeredNetwork struct {
	mode Mode
	// turning: the VXLAN device is as the mode wants it, and the endpoints are yet to have their turn. Meanwhile packets stay on the
	// cores where they come in: one sent to a core that its device does not steer to yet could be overtaken by the next.
	turning bool
	// direct: packets take the shortcut past the VXLAN device, so only the container's stage has a core to be chosen.
	direct bool
}

// live tells whether the programs send the network's packets to other cores.
func (n steeredNetwork) live() bool { return n.mode.steered() && !n.turning }

// ended tells whether all its flows are back and its VXLAN device is as before.
func (n steeredNetwork) ended() bool { return n.mode == Off && n.turning }

// Names of programs, as the kernel shows them.
const (
	nameNIC     = steerProgFalconNic
	nameVXLAN   = steerProgFalconVxlan
	nameHost    = steerProgFalconHost
	nameArrival = steerProgFalconArrival
)

// steerNetwork makes a network's VXLAN device hand its packets on to other cores, or ends that.
func (d *Datapath) steerNetwork(ctx context.Context, n Network, vx link) {
	s := d.steer
	direct := d.takesShortcut(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := d.adoptSteering(ctx)
	had, known := s.networks[n.VNI]
	switch {
	case err != nil:
	case n.Steering.steered():
		err = d.beginSteering(ctx, n, vx, direct)
	case known && !had.ended():
		err = d.endSteering(ctx, n.VNI, vx)
	}
	d.noteSteering("network "+n.Name, err)
}

// beginSteering works from the wire inwards: a device gets its mask when packets come to it with a hash that we wrote. That says
// no more than that they stay, until settleSteering.
func (d *Datapath) beginSteering(ctx context.Context, n Network, vx link, direct bool) error {
	if err := d.loadSteering(ctx); err != nil {
		return err
	}
	s := d.steer
	kernel, want := Off, steeredNetwork{n.Steering, true, direct}
	if s.networks[n.VNI].live() {
		kernel, want.turning = n.Steering, false
	}
	if s.networks[n.VNI] != want {
		if err := s.programs.setNetwork(n.VNI, kernel, direct, 0); err != nil {
			return err
		}
		s.networks[n.VNI] = want
		s.wake()
	}
	if err := d.onlyNIC(ctx, n.Device); err != nil {
		return err
	}
	d.ensureSplit(ctx, n.Device)
	if err := d.attachHost(ctx, hook{device: vx.index}, s.programs.objects.FalconVxlan, nameVXLAN, s.programs.tcx); err != nil {
		return err
	}
	if err := d.mergeDatagrams(ctx, vx.name); err != nil {
		return err
	}
	return d.setHostRPS(ctx, vx.name, s.line.all)
}

// endSteering brings a network's flows back to the cores where they come in and takes everything off its VXLAN device. The
// programs know the network until its endpoints have had their turn too.
func (d *Datapath) endSteering(ctx context.Context, vni VNI, vx link) error {
	s := d.steer
	direct := s.networks[vni].direct
	if err := s.programs.setNetwork(vni, Off, direct, 0); err != nil {
		return err
	}
	s.networks[vni] = steeredNetwork{mode: Off, direct: direct}
	s.programs.drain(ctx, func(bucket int) bool {
		return s.programs.flows.values[bucket].Vni == uint32(vni) && (s.programs.aimed(bucket) || s.programs.away(bucket))
	})
	err := d.setHostRPS(ctx, vx.name, CPUSet{})
	err = errors.Join(err, d.detachHost(ctx, hook{device: vx.index}, nameVXLAN, s.programs.tcx))
	s.networks[vni] = steeredNetwork{Off, err == nil, direct}
	return err
}

// settleSteering is for when a network's endpoints have had their turn: packets may go to other cores now, or the programs need not
// know the network any more.
func (d *Datapath) settleSteering(ctx context.Context, n Network) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	network, known := s.networks[n.VNI]
	if !known || !network.turning {
		return
	}
	var err error
	if network.mode.steered() {
		// What came before the programs saw the first packet is to be gone: they know nothing of it.
		if err = s.programs.setNetwork(n.VNI, network.mode, network.direct, s.config.Quiet); err == nil {
			network.turning = false
			s.networks[n.VNI] = network
		}
	} else {
		err = d.forgetNetwork(ctx, n.VNI)
	}
	d.noteSteering("network "+n.Name, err)
}

// forgetNetwork makes the programs leave a network's packets alone.
func (d *Datapath) forgetNetwork(ctx context.Context, vni VNI) error {
	s := d.steer
	if _, known := s.networks[vni]; !known {
		return nil
	}
	if err := s.programs.dropNetwork(vni); err != nil {
		return err
	}
	delete(s.networks, vni)
	return d.retireSteering(ctx)
}

// unsteerRemoved is for a network whose devices are gone.
func (d *Datapath) unsteerRemoved(ctx context.Context, vni VNI) {
	d.steer.mu.Lock()
	defer d.steer.mu.Unlock()
	err := d.adoptSteering(ctx)
	if err == nil {
		err = d.forgetNetwork(ctx, vni)
	}
	d.noteSteering("removed networks", err)
}

// onlyNIC attaches the first program to the underlay's device, and takes it off any other that has it: the underlay may have
// changed, also while nobody looked. 0 is none.
func (d *Datapath) onlyNIC(ctx context.Context, device int) error {
	s := d.steer
	if err := d.onlyAt(ctx, device, s.nic, s.programs.objects.FalconNic, nameNIC, s.programs.tcx); err != nil {
		return err
	}
	s.nic = device
	return nil
}

// onlyAt has a program at a device and at no other, unless that is known to be so.
func (d *Datapath) onlyAt(ctx context.Context, device, known int, p *ebpf.Program, name string, tcx bool) error {
	if device != 0 {
		if err := d.attachHost(ctx, hook{device: device}, p, name, tcx); err != nil || device == known {
			return err
		}
	}
	list, err := d.rt.links(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range list {
		if l.index != device {
			errs = append(errs, d.detachHost(ctx, hook{device: l.index}, name, tcx))
		}
	}
	return errors.Join(errs...)
}

// attachHost attaches to a device in the host's namespace, by TCX where the kernel has it.
func (d *Datapath) attachHost(ctx context.Context, h hook, p *ebpf.Program, name string, tcx bool) error {
	if !tcx {
		_, err := d.rt.attachTC(ctx, h, p, name)
		return err
	}
	return d.inHost(ctx, func() error {
		_, err := h.attachTCX(p, name)
		return err
	})
}

// attachedHost tells whether a program of ours is attached to a device in the host's namespace.
func (d *Datapath) attachedHost(ctx context.Context, h hook, name string) (attached bool, err error) {
	err = d.inHost(ctx, func() error {
		if !haveTCX() {
			filter, err := d.rt.findTC(ctx, h, name)
			attached = filter != nil
			return err
		}
		program, _, err := h.findTCX(name)
		attached = program != nil
		return errors.Join(err, program.Close())
	})
	if errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	return attached, err
}

// detachHost takes off what attachHost has attached. A device that is gone is no error.
func (d *Datapath) detachHost(ctx context.Context, h hook, name string, tcx bool) error {
	if !tcx {
		return d.rt.detachTC(ctx, h, name)
	}
	err := d.inHost(ctx, func() error { return h.detachTCX(name) })
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}
