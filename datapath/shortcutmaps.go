package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// shortcutting is the loaded programs and their maps, which are pinned: packets go on while the daemon does not run, and a later
// run goes on where they are.
type shortcutting struct {
	objects   shortcutObjects
	tcx       bool
	early     ebpflink.Link // at the NIC's driver; nil: datagrams are not taken there
	earlySeen time.Time     // when that was last settled
}

// openShortcut loads the programs, with the maps pinned in a directory that it makes if need be, and leaves nothing if it fails.
func openShortcut(c ShortcutConfig, tcx bool) (*shortcutting, error) {
	made, err := makePins(c.Pins)
	if err != nil {
		return nil, fmt.Errorf("load shortcut: %w", err)
	}
	p := &shortcutting{tcx: tcx}
	if err := p.load(c); err != nil {
		err = loadError("shortcut", errors.Join(err, p.close()))
		if made {
			err = errors.Join(err, os.RemoveAll(c.Pins))
		}
		return nil, err
	}
	return p, nil
}

// shortcutSpec is the compiled programs with this host's settings.
func shortcutSpec(port uint16) (*ebpf.CollectionSpec, error) {
	spec, err := loadShortcut()
	if err != nil {
		return nil, err
	}
	ttl, err := defaultTTL()
	if err != nil {
		return nil, err
	}
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil {
		return nil, fmt.Errorf("read resolution of the coarse clock: %w", err)
	}
	return spec, errors.Join(
		spec.Variables[shortcutVarTick].Set(uint64(tick.Nano())),
		spec.Variables[shortcutVarVxlanPort].Set(port),
		spec.Variables[shortcutVarOuterTtl].Set(ttl),
		spec.Variables[shortcutVarQuiet].Set(uint64(quietAfter)))
}

// ProbeShortcut tries to load the programs, with maps of their own: what a daemon has pinned is not looked at.
func ProbeShortcut() Finding {
	var objects shortcutObjects
	spec, err := shortcutSpec(0)
	if err == nil {
		err = spec.LoadAndAssign(&objects, nil)
	}
	return finding("shortcut programs", loadError("shortcut", errors.Join(err, objects.Close())), needPrograms)
}

func (p *shortcutting) load(c ShortcutConfig) error {
	spec, err := shortcutSpec(c.Port)
	if err != nil {
		return err
	}
	pinAll(spec)
	options := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: c.Pins}}
	err = spec.LoadAndAssign(&p.objects, options)
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		// Another version's. Its programs, until they are replaced, go by what they know.
		if err = remakePins(c.Pins); err == nil {
			err = spec.LoadAndAssign(&p.objects, options)
		}
		if err == nil {
			err = p.expectQueues()
		}
	}
	if err != nil {
		return err
	}
	// Under this key what belongs to no network is counted.
	return p.setLive(noNetwork, true)
}

// expectQueues is for maps in the place of others: each flow may have datagrams in the queue, which later ones must not overtake.
func (p *shortcutting) expectQueues() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &now); err != nil {
		return err
	}
	for key := range p.objects.PacedFlows.MaxEntries() {
		if err := p.objects.PacedFlows.Put(key, shortcutPaced{Queued: uint64(now.Nano())}); err != nil {
			return fmt.Errorf("tell shortcut what may wait: %w", err)
		}
	}
	return nil
}

// noNetwork is NO_NETWORK, which bpf/shortcut.h has as a macro.
const noNetwork VNI = 1<<32 - 1

func (p *shortcutting) close() error { return errors.Join(p.closeEarly(), p.objects.Close()) }

// setLive makes the programs look at a network's packets, or leave them alone.
func (p *shortcutting) setLive(vni VNI, live bool) error {
	var err error
	if live {
		err = writeEntry(p.objects.Traffics, uint32(vni), make([]shortcutTraffic, ebpf.MustPossibleCPU()), ebpf.UpdateNoExist)
	} else {
		err = p.objects.Traffics.Delete(uint32(vni))
	}
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) && !errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("turn shortcut of VNI %d: %w", vni, err)
	}
	return nil
}

// read gives what the maps have, by network.
func (p *shortcutting) read(into map[VNI]*shortNetwork) error {
	of := func(vni uint32) *shortNetwork {
		n, ok := into[VNI(vni)]
		if !ok {
			n = newShortNetwork()
			into[VNI(vni)] = n
		}
		return n
	}
	var (
		vni      uint32
		traffic  []shortcutTraffic
		host     shortcutHostKey
		one      uint32
		key      shortcutEndpointKey
		endpoint shortcutEndpoint
		device   uint32
		port     shortcutPort
		prefix   shortcutAllowedKey
	)
	errs := []error{
		each(p.objects.Traffics, &vni, &traffic, func() {
			if VNI(vni) != noNetwork {
				of(vni).live = true
			}
		}),
		each(p.objects.Hosts, &host, &one, func() { of(host.Vni).hosts[fromKernel(host.Address)] = struct{}{} }),
		each(p.objects.Endpoints, &key, &endpoint, func() { of(key.Vni).endpoints[key.Mac] = endpoint }),
		each(p.objects.Ports, &device, &port, func() { of(port.Vni).ports[int(device)] = port }),
		each(p.objects.Allowed, &prefix, &one, func() { of(hostOrder(prefix.Vni)).allowed[allowedPrefix(prefix)] = struct{}{} }),
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("read maps of the shortcut: %w", err)
	}
	return nil
}

// each visits a map's entries.
func each(m *ebpf.Map, key, value any, visit func()) error {
	entries := m.Iterate()
	for entries.Next(key, value) {
		visit()
	}
	return entries.Err()
}

// update makes what the maps have of a network what they should: what goes does so first, and of what changes each entry does so in one step. have
// follows.
func (p *shortcutting) update(vni VNI, have, want *shortNetwork) error {
	return errors.Join(
		updateMap(p.objects.Endpoints, have.endpoints, want.endpoints, func(m MAC) any { return endpointKey(vni, m) }),
		updateMap(p.objects.Ports, have.ports, want.ports, func(device int) any { return uint32(device) }),
		updateMap(p.objects.Hosts, have.hosts, want.hosts, func(a netip.Addr) any { return shortcutHostKey{Vni: uint32(vni), Address: toKernel(a)} }),
		updateMap(p.objects.Allowed, have.allowed, want.allowed, func(a netip.Prefix) any { return allowedKey(vni, a) }),
	)
}

func updateMap[K comparable, V comparable](m *ebpf.Map, have, want map[K]V, key func(K) any) error {
	var errs []error
	for k := range have {
		if _, keep := want[k]; !keep {
			errs = append(errs, dropEntry(m, have, k, key(k)))
		}
	}
	for k, v := range want {
		err := putEntry(m, have, k, v, key(k))
		errs = append(errs, err)
		if errors.Is(err, unix.ENOMEM) {
			break // each further one would wait as long
		}
	}
	return errors.Join(errs...)
}

// putEntry writes an entry that is not there, or not so.
func putEntry[K comparable, V comparable](m *ebpf.Map, have map[K]V, k K, v V, key any) error {
	if was, ok := have[k]; ok && was == v {
		return nil
	}
	var value any = v
	if unsafe.Sizeof(v) == 0 {
		value = uint32(1)
	}
	if err := writeEntry(m, key, value, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("tell shortcut of %v: %w", k, err)
	}
	have[k] = v
	return nil
}

// writeEntry updates a map whose entries are allocated as they are written. The kernel does that without waiting for memory, from a
// stock that it fills up afterwards: an update that found it empty is worth trying again.
func writeEntry(m *ebpf.Map, key, value any, flags ebpf.MapUpdateFlags) error {
	const (
		tries = 20
		pause = 25 * time.Millisecond
	)
	var err error
	for range tries {
		if err = m.Update(key, value, flags); !errors.Is(err, unix.ENOMEM) {
			return err
		}
		time.Sleep(pause)
	}
	return err
}

func dropEntry[K comparable, V comparable](m *ebpf.Map, have map[K]V, k K, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("have shortcut forget %v: %w", k, err)
	}
	delete(have, k)
	return nil
}
