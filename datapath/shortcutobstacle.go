package datapath

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// surroundings is what there is at a network's devices that the shortcut has to do with.
type surroundings struct {
	// obstacle is what people have put on the kernel's way that packets must not miss: filters, mirrors and programs at the
	// network's devices, and rules for bridged frames. nil: nothing, or nothing is known yet.
	obstacle error
	bare     []int // ports that lack falcon_out
}

// lookAround looks at a network's devices. It changes nothing, and with many endpoints takes a while.
func (d *Datapath) lookAround(ctx context.Context, n Network, ports map[string]int) (s surroundings, err error) {
	devices := map[string]int{}
	for _, name := range []string{bridgeName(n.VNI), vxlanName(n.VNI)} {
		l, err := d.rt.linkByName(ctx, name)
		if err != nil {
			return s, err
		}
		devices[name] = l.index
	}
	for id, port := range ports {
		devices[hostDevice(id)] = port
	}
	qdiscs, err := d.qdiscs(ctx)
	if err != nil {
		return s, err
	}
	programs, err := d.programsAt(ctx, slices.Collect(maps.Values(devices)), qdiscs)
	if err != nil {
		return s, err
	}
	if s.obstacle, err = d.bridgeRules(); err != nil {
		return s, err
	}
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		if s.obstacle == nil {
			s.obstacle = strange(name, qdiscs[devices[name]], programs[devices[name]])
		}
	}
	for _, port := range ports {
		if !slices.Contains(programs[port], nameOut) {
			s.bare = append(s.bare, port)
		}
	}
	return s, nil
}

// bridgeRules looks for chains that bridged frames go through. Falcon's own rules accept what comes through netfilter's IP hooks.
func (d *Datapath) bridgeRules() (obstacle, err error) {
	chains, err := d.nft().ListChainsOfTableFamily(nftables.TableFamilyBridge)
	if err != nil {
		return nil, fmt.Errorf("look for rules of the bridge family: %w", err)
	}
	for _, c := range chains {
		if c.Hooknum != nil {
			return fmt.Errorf("nftables has rules for bridged frames, which the shortcut would pass by: table bridge %s, chain %s", c.Table.Name, c.Name), nil
		}
	}
	return nil, nil
}

// qdiscs gives the kinds of queueing disciplines by device, but for those that every device has.
func (d *Datapath) qdiscs(ctx context.Context) (map[int][]string, error) {
	list, err := uninterrupted(ctx, func() ([]netlink.Qdisc, error) { return d.rt.QdiscList(nil) })
	if err != nil {
		return nil, fmt.Errorf("list queueing disciplines: %w", err)
	}
	kinds := map[int][]string{}
	for _, q := range list {
		kinds[q.Attrs().LinkIndex] = append(kinds[q.Attrs().LinkIndex], q.Type())
	}
	return kinds, nil
}

// programsAt names the programs and filters at devices, both ways, by device.
func (d *Datapath) programsAt(ctx context.Context, devices []int, qdiscs map[int][]string) (names map[int][]string, err error) {
	names = map[int][]string{}
	err = d.inHost(ctx, func() error {
		tcx := haveTCX()
		for _, device := range devices {
			for _, h := range []hook{{device, false}, {device, true}} {
				if tcx {
					more, err := h.listTCX()
					if err != nil && !errors.Is(err, unix.ENODEV) {
						return err
					}
					names[device] = append(names[device], more...)
				}
				if !slices.ContainsFunc(qdiscs[device], hasFilters) {
					continue
				}
				more, err := d.rt.listTC(ctx, h)
				if err != nil && !errors.Is(err, unix.ENODEV) {
					return err
				}
				names[device] = append(names[device], more...)
			}
		}
		return nil
	})
	return names, err
}

// hasFilters tells whether a kind of queueing discipline is there for filters alone.
func hasFilters(kind string) bool { return kind == "clsact" || kind == "ingress" }

// strange says what is at a device of ours that is not ours.
func strange(device string, qdiscs, programs []string) error {
	for _, kind := range qdiscs {
		if kind != "noqueue" && !hasFilters(kind) {
			return fmt.Errorf("device %s has a queueing discipline, which the shortcut would pass by: %s", device, kind)
		}
	}
	for _, program := range programs {
		if !strings.HasPrefix(program, ownPrograms) {
			return fmt.Errorf("device %s has a filter, which the shortcut would pass by: %s", device, program)
		}
	}
	return nil
}

// ownPrograms begins the names of all of ours.
const ownPrograms = "falcon_"
