package datapath

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"sync"
)

// ShortcutConfig says how packets are taken past the overlay's devices on this host, where they are.
type ShortcutConfig struct {
	// Pins is a directory in a bpffs for the maps; DefaultShortcutPins if empty.
	Pins string
	// Port is the UDP port of the VXLAN devices.
	Port uint16
	// Early has datagrams taken at the driver of the underlay's device, by an XDP program.
	Early bool
}

// DefaultShortcutPins is in the bpffs that every distribution mounts.
const DefaultShortcutPins = "/sys/fs/bpf/falcon-shortcut"

// shortcut keeps the programs' maps as networks are. What cannot be had is noted and left out: packets go the kernel's way.
type shortcut struct {
	config ShortcutConfig

	mu       sync.Mutex // guards all below; held while the kernel is changed, taken after no other lock
	adopted  bool       // what an earlier run has left is known
	programs *shortcutting
	nic      int      // index of the device that has falcon_in, and is known to be the only one; 0: not known
	sources  *sources // nil: not known
	networks map[VNI]*shortNetwork
	problems problems
}

// shortNetwork is what the maps have of a network.
type shortNetwork struct {
	network   Network
	live      bool // the programs look at its packets
	obstacle  error
	hosts     map[netip.Addr]struct{}
	endpoints map[MAC]shortcutEndpoint
	ports     map[int]shortcutPort // by index of the device
	attached  map[int]struct{}     // those that have this run's falcon_out, unless somebody took it away
	tried     map[int]struct{}     // those whose other ends were made to take frames, whether or not they do
	allowed   map[netip.Prefix]struct{}
}

// takes tells whether an endpoint may be added. After a restart a network is known from the maps, and what else is known of it comes with its
// first pass; until then endpoints that come or move go the kernel's way.
func (n *shortNetwork) takes() bool { return n.network.VNI != 0 && n.obstacle == nil }

func newShortNetwork() *shortNetwork {
	return &shortNetwork{
		hosts: map[netip.Addr]struct{}{}, endpoints: map[MAC]shortcutEndpoint{}, ports: map[int]shortcutPort{},
		allowed: map[netip.Prefix]struct{}{}, attached: map[int]struct{}{}, tried: map[int]struct{}{},
	}
}

func newShortcut(c ShortcutConfig) *shortcut {
	if c.Pins == "" {
		c.Pins = DefaultShortcutPins
	}
	return &shortcut{config: c, networks: map[VNI]*shortNetwork{}, problems: problems{}}
}

// Names of programs, as the kernel shows them.
const (
	nameIn  = shortcutProgFalconIn
	nameOut = shortcutProgFalconOut
)

// shortcutNetwork prepares to take a network's packets past its devices, or ends that. It takes effect when all that the programs
// are to know of the network is in the maps: syncShortcut.
func (d *Datapath) shortcutNetwork(ctx context.Context, n Network) {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	err := d.adoptShortcut(ctx)
	had, known := s.networks[n.VNI]
	switch {
	case err != nil:
	case n.Shortcut && !known:
		if err = d.loadShortcut(ctx); err == nil {
			s.networks[n.VNI] = newShortNetwork()
			s.networks[n.VNI].network = n
			d.ensureEarly(ctx, n.Device)
		}
	case n.Shortcut:
		had.network = n
		d.ensureEarly(ctx, n.Device)
		err = d.leaveToSteering(had)
	case known:
		err = d.endShortcut(ctx, n.VNI)
	}
	d.noteShortcut("network "+n.Name, err)
}

// adoptShortcut takes over, once, what an earlier run has left.
func (d *Datapath) adoptShortcut(ctx context.Context) error {
	s := d.short
	if s.adopted {
		return nil
	}
	if _, err := os.Stat(s.config.Pins); errors.Is(err, fs.ErrNotExist) {
		s.adopted = true
		return nil
	}
	if err := d.loadShortcut(ctx); err != nil {
		return err
	}
	if err := s.programs.read(s.networks); err != nil {
		return err
	}
	var errs []error
	for vni := range s.networks {
		if _, err := d.rt.linkByName(ctx, vxlanName(vni)); errors.Is(err, errNoLink) {
			errs = append(errs, d.endShortcut(ctx, vni)) // its devices went while nobody looked
		}
	}
	s.adopted = errors.Join(errs...) == nil
	return errors.Join(append(errs, d.retireShortcut(ctx))...)
}

// loadShortcut loads the programs if they are not.
func (d *Datapath) loadShortcut(ctx context.Context) error {
	s := d.short
	if s.programs != nil {
		return nil
	}
	return d.inHost(ctx, func() (err error) {
		s.programs, err = openShortcut(s.config, haveTCX())
		return err
	})
}

// endShortcut makes the programs look at a network's packets no more, and forgets what they knew.
func (d *Datapath) endShortcut(ctx context.Context, vni VNI) error {
	s := d.short
	n := s.networks[vni]
	if err := s.programs.setLive(vni, false); err != nil {
		return err
	}
	n.live = false
	var errs []error
	for device := range n.ports {
		errs = append(errs, d.rt.detachTC(ctx, outHook(device), nameOut))
		if host, err := d.rt.linkByIndex(ctx, device); err == nil {
			errs = append(errs, d.setSegmentation(ctx, host.name, true))
		}
	}
	errs = append(errs, s.programs.update(vni, n, newShortNetwork()))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	delete(s.networks, vni)
	if len(s.networks) > 0 && s.sources != nil {
		d.noteShortcut(problemSources, d.ensureSources(ctx, s.sources.device))
	}
	return d.retireShortcut(ctx)
}

// retireShortcut unloads the programs when no network needs them any more.
func (d *Datapath) retireShortcut(ctx context.Context) error {
	s := d.short
	if len(s.networks) > 0 || s.programs == nil {
		return nil
	}
	if err := d.onlyIn(ctx, 0); err != nil {
		return err
	}
	err := errors.Join(d.removeSources(), s.programs.close(), os.RemoveAll(s.config.Pins))
	s.programs = nil
	return err
}

// closeShortcut is for the end of the process. What is attached and pinned goes on.
func (d *Datapath) closeShortcut() error {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return nil
	}
	err := s.programs.close()
	s.programs = nil
	return err
}

// onlyIn attaches the program for packets from other hosts to the underlay's device, and takes it off any other.
func (d *Datapath) onlyIn(ctx context.Context, device int) error {
	s := d.short
	if err := d.onlyAt(ctx, device, s.nic, s.programs.objects.FalconIn, nameIn, s.programs.tcx); err != nil {
		return err
	}
	s.nic = device
	return nil
}

// problemSources names what is wrong with the check of senders at other devices.
const problemSources = "senders at other devices"

// outHook is where what a container sends comes by.
func outHook(device int) hook { return hook{device: device} }

// noteShortcut keeps what is wrong with a part of the shortcut, or that it is right again.
func (d *Datapath) noteShortcut(what string, err error) {
	d.short.problems.note(d.log, "packets go the kernel's way", what, err)
}
