package datapath

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// shortcutObstacle says what people have put on the kernel's way that packets of a network must not miss: filters, mirrors and
// programs at its devices, and rules for bridged frames. nil: nothing.
func (d *Datapath) shortcutObstacle(ctx context.Context, n Network, ports map[string]int) error {
	if err := d.bridgeRules(); err != nil {
		return err
	}
	devices := map[string]int{}
	for _, name := range []string{bridgeName(n.VNI), vxlanName(n.VNI)} {
		l, err := d.rt.linkByName(ctx, name)
		if err != nil {
			return err
		}
		devices[name] = l.index
	}
	for id, port := range ports {
		devices[hostDevice(id)] = port
	}
	qdiscs, err := d.qdiscs(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		if err := d.foreignAt(ctx, name, devices[name], qdiscs[devices[name]]); err != nil {
			return err
		}
	}
	return nil
}

// bridgeRules looks for chains that bridged frames go through. Falcon's own rules accept what comes through netfilter's IP hooks.
func (d *Datapath) bridgeRules() error {
	chains, err := d.nft().ListChainsOfTableFamily(nftables.TableFamilyBridge)
	if err != nil {
		return fmt.Errorf("look for rules of the bridge family: %w", err)
	}
	for _, c := range chains {
		if c.Hooknum != nil {
			return fmt.Errorf("nftables has rules for bridged frames, which the shortcut would pass by: table bridge %s, chain %s", c.Table.Name, c.Name)
		}
	}
	return nil
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

// foreignAt says what is at a device of ours that is not ours.
func (d *Datapath) foreignAt(ctx context.Context, name string, device int, qdiscs []string) error {
	filtered := false
	for _, kind := range qdiscs {
		switch kind {
		case "noqueue", "mq":
		case "clsact", "ingress":
			filtered = true
		default:
			return fmt.Errorf("device %s has a queueing discipline, which the shortcut would pass by: %s", name, kind)
		}
	}
	for _, h := range []hook{{device, false}, {device, true}} {
		var names []string
		var err error
		if filtered {
			names, err = d.rt.listTC(ctx, h)
		}
		if err == nil && haveTCX() {
			var more []string
			err = d.inHost(ctx, func() (err error) { more, err = h.listTCX(); return err })
			names = append(names, more...)
		}
		if errors.Is(err, unix.ENODEV) || errors.Is(err, ebpf.ErrNotSupported) {
			continue
		}
		if err != nil {
			return err
		}
		for _, program := range names {
			if !strings.HasPrefix(program, ownPrograms) {
				return fmt.Errorf("device %s has a filter, which the shortcut would pass by: %s", name, program)
			}
		}
	}
	return nil
}

// ownPrograms begins the names of all of ours.
const ownPrograms = "falcon_"
