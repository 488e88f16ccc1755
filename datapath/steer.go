package datapath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// SteeringConfig says how packets are steered on this host, where they are.
type SteeringConfig struct {
	// Pins is a directory in a bpffs for the maps; DefaultPins if empty.
	Pins string
	// CPUs that packets may be steered to, such as 2-7,10; empty: all that are online and that nobody has set aside.
	CPUs string
	// Port is the UDP port of the VXLAN devices.
	Port uint16
}

// DefaultPins is in the bpffs that every distribution mounts.
const DefaultPins = "/sys/fs/bpf/falcon"

// steer applies a steering to devices. Nothing about it may keep a network from working: what cannot be had is noted and left
// out, and packets go the kernel's way.
type steer struct {
	config SteeringConfig

	mu       sync.Mutex // guards all below; held while the kernel is changed, taken after no other lock
	programs *steering  // nil until a network wants them
	line     CPUSet     // the CPUs that have slots
	machine  Topology
	nic      int // index of the device that has falcon_nic, 0: none
	networks map[VNI]Mode
	ending   map[VNI]bool    // those whose flows were brought back; their endpoints follow
	done     map[int]steered // by the index of an endpoint's host device
	problems map[string]string
	balancer *balancer     // nil unless it runs
	changed  chan struct{} // capacity 1: the balancer is to look again
}

// steered is what has been done to an endpoint's devices; as long as it is what is wanted, they need not be looked at.
type steered struct {
	line    CPUSet
	sandbox string // empty: the container's end was still on the host
}

func newSteer(c SteeringConfig) *steer {
	if c.Pins == "" {
		c.Pins = DefaultPins
	}
	return &steer{
		config: c, networks: map[VNI]Mode{}, ending: map[VNI]bool{}, done: map[int]steered{}, problems: map[string]string{},
		changed: make(chan struct{}, 1),
	}
}

// CheckCPUs judges a list of CPUs that packets are to be steered to, on this machine as it is.
func CheckCPUs(list string) error {
	_, _, err := steerable(list)
	return err
}

// steerable gives the CPUs that packets may be steered to and the machine that they are of.
func steerable(list string) (CPUSet, Topology, error) {
	var want CPUSet
	if list != "" {
		set, err := ParseCPUList(list)
		if err != nil {
			return CPUSet{}, Topology{}, err
		}
		if set.IsEmpty() {
			return CPUSet{}, Topology{}, errors.New("names no CPU: want a list such as 2-7,10")
		}
		want = set
	}
	t, err := ReadTopology("")
	if err != nil {
		return CPUSet{}, Topology{}, err
	}
	set, err := t.Steerable(want)
	if apart := set.Intersect(t.Isolated.Union(t.NoHZFull)); err == nil && !apart.IsEmpty() {
		err = fmt.Errorf("CPUs %s are isolated (isolcpus or nohz_full), which the kernel's packet steering leaves out: want some of %s",
			apart, t.Online.Minus(t.Isolated).Minus(t.NoHZFull))
	}
	return set, t, err
}

// adoptSteering takes over what an earlier run has left steering, so that it can be continued or ended.
func (d *Datapath) adoptSteering() error {
	s := d.steer
	if _, err := os.Stat(s.config.Pins); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.loadSteering(context.Background()); err != nil {
		return err
	}
	var vni uint32
	var network steerNetwork
	entries := s.programs.objects.Networks.Iterate()
	for entries.Next(&vni, &network) {
		s.networks[VNI(vni)] = modeOf(network.Mode)
	}
	return entries.Err()
}

// loadSteering loads the programs if they are not. The lock is held.
func (d *Datapath) loadSteering(ctx context.Context) error {
	s := d.steer
	if s.programs != nil {
		return nil
	}
	line, machine, err := steerable(s.config.CPUs)
	if err != nil {
		return err
	}
	err = d.inHost(ctx, func() (err error) {
		s.programs, err = openSteering(s.config.Pins, s.config.Port, haveTCX())
		return err
	})
	if err != nil {
		return err
	}
	s.line, s.machine = line, machine
	if s.programs.linedUp() != line {
		s.programs.drain(ctx)
		s.programs.lineUp(slices.Collect(line.All()))
	}
	signalChange(s.changed)
	return nil
}

func signalChange(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// closeSteering lets go of the programs, which go on.
func (d *Datapath) closeSteering() error {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return nil
	}
	programs := s.programs
	s.programs = nil
	return programs.close()
}

// noteSteering keeps what is wrong with a part of steering, or that it is right again.
func (d *Datapath) noteSteering(what string, err error) {
	s := d.steer
	if err == nil {
		delete(s.problems, what)
		return
	}
	if s.problems[what] != err.Error() {
		d.log.WithError(err).Warnf("packets are not steered as they should be: %s", what)
	}
	s.problems[what] = err.Error()
}

// steerNetwork makes a network's VXLAN device hand its packets on to other cores, or ends that.
func (d *Datapath) steerNetwork(ctx context.Context, n Network, vx link) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Steering.steered() {
		d.noteSteering("network "+n.Name, d.steerDevices(ctx, n, vx))
		return
	}
	if _, had := s.networks[n.VNI]; had {
		d.noteSteering("network "+n.Name, d.unsteerNetwork(ctx, n.VNI))
	}
}

func (d *Datapath) steerDevices(ctx context.Context, n Network, vx link) error {
	if err := d.loadSteering(ctx); err != nil {
		return err
	}
	s := d.steer
	if s.networks[n.VNI] != n.Steering {
		if err := s.programs.setNetwork(n.VNI, n.Steering); err != nil {
			return err
		}
		s.networks[n.VNI] = n.Steering
		signalChange(s.changed)
	}
	// From the wire inwards: a device gets its mask when packets come to it with a hash that we wrote.
	if err := d.steerNIC(ctx, n.Device); err != nil {
		return err
	}
	if err := d.attachHost(ctx, hook{device: vx.index}, d.steer.programs.objects.FalconVxlan, nameVXLAN); err != nil {
		return err
	}
	if err := d.setMerging(ctx, vx.name, true); err != nil {
		return err
	}
	return d.setHostRPS(ctx, vx.name, s.line)
}

// Names of programs, as the kernel shows them.
const (
	nameNIC     = steerProgFalconNic
	nameVXLAN   = steerProgFalconVxlan
	nameHost    = steerProgFalconHost
	nameArrival = steerProgFalconArrival
)

// steerNIC attaches the first program to the underlay's device, and takes it off the one that was that before.
func (d *Datapath) steerNIC(ctx context.Context, device int) error {
	s := d.steer
	if device == 0 {
		return errors.New("steer underlay: its device is not known")
	}
	if err := d.attachHost(ctx, hook{device: device}, s.programs.objects.FalconNic, nameNIC); err != nil {
		return err
	}
	was := s.nic
	s.nic = device
	if was == 0 || was == device {
		return nil
	}
	return d.detachHost(ctx, hook{device: was}, nameNIC)
}

// unsteerNetwork brings a network's flows back to the cores where they come in and takes the programs off its devices. It takes two
// calls: between them the endpoints have their turn.
func (d *Datapath) unsteerNetwork(ctx context.Context, vni VNI) error {
	s := d.steer
	if s.ending[vni] {
		return d.forgetNetwork(ctx, vni)
	}
	if err := s.programs.setNetwork(vni, Off); err != nil {
		return err
	}
	s.networks[vni] = Off
	s.programs.drain(ctx)
	vx, err := d.rt.linkByName(ctx, vxlanName(vni))
	if errors.Is(err, errNoLink) {
		return d.forgetNetwork(ctx, vni)
	}
	if err != nil {
		return err
	}
	err = d.setHostRPS(ctx, vx.name, CPUSet{})
	err = errors.Join(err, d.setMerging(ctx, vx.name, false), d.detachHost(ctx, hook{device: vx.index}, nameVXLAN))
	s.ending[vni] = err == nil
	return err
}

// forgetNetwork makes the programs leave a network's packets alone.
func (d *Datapath) forgetNetwork(ctx context.Context, vni VNI) error {
	s := d.steer
	if err := s.programs.dropNetwork(vni); err != nil {
		return err
	}
	delete(s.networks, vni)
	delete(s.ending, vni)
	return d.retireSteering(ctx)
}

// retireSteering unloads the programs when no network needs them any more.
func (d *Datapath) retireSteering(ctx context.Context) error {
	s := d.steer
	if len(s.networks) > 0 {
		return nil
	}
	if s.nic != 0 {
		if err := d.detachHost(ctx, hook{device: s.nic}, nameNIC); err != nil {
			return err
		}
		s.nic = 0
	}
	var errs []error
	if s.balancer != nil {
		errs = append(errs, s.balancer.close())
	}
	errs = append(errs, s.programs.close(), os.RemoveAll(s.config.Pins))
	s.balancer, s.programs = nil, nil
	return errors.Join(errs...)
}

// attachHost attaches to a device in the host's namespace, by TCX where the kernel has it.
func (d *Datapath) attachHost(ctx context.Context, h hook, p *ebpf.Program, name string) error {
	if !d.steer.programs.tcx {
		_, err := d.rt.attachTC(ctx, h, p, name)
		return err
	}
	return d.inHost(ctx, func() error {
		_, err := h.attachTCX(p, name)
		return err
	})
}

func (d *Datapath) detachHost(ctx context.Context, h hook, name string) error {
	if !d.steer.programs.tcx {
		return d.rt.detachTC(ctx, h, name)
	}
	err := d.inHost(ctx, func() error { return h.detachTCX(name) })
	if errors.Is(err, unix.ENODEV) {
		return nil // the device is gone
	}
	return err
}

// steerEndpoint makes an endpoint's devices take packets on the core that was chosen, or ends that.
func (d *Datapath) steerEndpoint(ctx context.Context, e Endpoint, host link) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	mode, known := s.networks[e.VNI]
	if !known {
		return
	}
	want := steered{sandbox: e.Sandbox}
	do := d.unsteerVeth
	if mode.steered() {
		want.line, do = s.line, d.steerVeth
	}
	if was, ok := s.done[host.index]; ok && was == want {
		return
	}
	err := do(ctx, e, host)
	if err == nil {
		s.done[host.index] = want
	}
	d.noteSteering("endpoint "+shortID(e.ID), err)
}

// steerVeth works from the host inwards. The container's end is on the host until Docker moves it.
func (d *Datapath) steerVeth(ctx context.Context, e Endpoint, host link) error {
	s := d.steer
	if _, err := d.rt.attachTC(ctx, hook{host.index, true}, s.programs.objects.FalconHost, nameHost); err != nil {
		return err
	}
	return d.atContainerEnd(ctx, e, host, func(rt *rtnl, end link, setRPS func(CPUSet) error) error {
		if e.Sandbox != "" { // before that it would be lost with the move
			if _, err := rt.attachTC(ctx, hook{device: end.index}, s.programs.objects.FalconArrival, nameArrival); err != nil {
				return err
			}
		}
		return setRPS(s.line)
	})
}

func (d *Datapath) unsteerVeth(ctx context.Context, e Endpoint, host link) error {
	err := d.atContainerEnd(ctx, e, host, func(rt *rtnl, end link, setRPS func(CPUSet) error) error {
		return errors.Join(setRPS(CPUSet{}), rt.detachTC(ctx, hook{device: end.index}, nameArrival))
	})
	return errors.Join(err, d.rt.detachTC(ctx, hook{host.index, true}, nameHost))
}

// atContainerEnd works on the container's end of a veth, wherever it is. One that is nowhere is left out.
func (d *Datapath) atContainerEnd(ctx context.Context, e Endpoint, host link, work func(rt *rtnl, end link, setRPS func(CPUSet) error) error) error {
	end, err := d.rt.linkByName(ctx, ContainerDevice(e.ID))
	if err == nil {
		return work(d.rt, end, func(set CPUSet) error { return d.setHostRPS(ctx, end.name, set) })
	}
	if !errors.Is(err, errNoLink) {
		return err
	}
	if e.Sandbox == "" || sandboxGone(e.Sandbox) {
		return nil
	}
	ns, err := netns.GetFromPath(e.Sandbox)
	if err != nil {
		return fmt.Errorf("open sandbox %s: %w", e.Sandbox, err)
	}
	defer ns.Close()
	rt, err := openRTNL(ns)
	if err != nil {
		return err
	}
	defer rt.Close()
	if end, err = rt.linkByIndex(ctx, host.peer); err != nil {
		return err
	}
	return work(rt, end, func(set CPUSet) error {
		_, err := setRPSIn(ctx, ns, end.name, set)
		return err
	})
}

// setHostRPS is setRPS for a device in the host's namespace.
func (d *Datapath) setHostRPS(ctx context.Context, device string, mask CPUSet) error {
	fs, err := d.sysfs.open(d.netns)
	if err != nil {
		return fmt.Errorf("set RPS of device %s: %w", device, err)
	}
	_, err = fs.setRPS(ctx, device, mask)
	return err
}
