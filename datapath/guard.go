package datapath

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// guard keeps the overlay out of the host's own network stack: bpf/guard.bpf.c, at tc ingress of each bridge.
// The filter holds the program, so it needs no pin and stays when the process goes.
type guard struct {
	mu   sync.Mutex // for prog and tag
	prog *ebpf.Program
	tag  string
}

// What `tc filter show dev fbr-<vni> ingress` shows.
const (
	guardName     = "falcon_guard"
	guardPriority = 1
	guardHandle   = 1
)

// load gives the program and its tag, which is a digest of its instructions. It is loaded once.
func (g *guard) load() (*ebpf.Program, string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.prog != nil {
		return g.prog, g.tag, nil
	}
	var objects guardObjects
	if err := loadGuardObjects(&objects, nil); err != nil {
		return nil, "", fmt.Errorf("load guard: %w", err)
	}
	info, err := objects.FalconGuard.Info()
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("load guard: %w", err), objects.Close())
	}
	g.prog, g.tag = objects.FalconGuard, info.Tag
	return g.prog, g.tag, nil
}

func (g *guard) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.prog == nil {
		return nil
	}
	err := g.prog.Close()
	g.prog = nil
	return err
}

// ensureGuard attaches the program to a bridge. An older version that is there already is replaced in one step.
func (d *Datapath) ensureGuard(ctx context.Context, br link) (outcome, error) {
	prog, tag, err := d.guard.load()
	if err != nil {
		return kept, err
	}
	if err := ctx.Err(); err != nil {
		return kept, err
	}
	ok, err := d.guarded(ctx, br, tag)
	if ok || err != nil {
		return kept, err
	}
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: br.index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}}
	if err := d.rt.QdiscAdd(clsact); err != nil && !errors.Is(err, unix.EEXIST) {
		return kept, fmt.Errorf("guard bridge %s: add clsact qdisc: %w", br.name, err)
	}
	err = d.rt.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: br.index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: guardHandle, Priority: guardPriority, Protocol: unix.ETH_P_ALL},
		Fd: prog.FD(), Name: guardName, DirectAction: true,
	})
	if err != nil {
		return kept, fmt.Errorf("guard bridge %s: attach program: %w", br.name, err)
	}
	return repaired, nil
}

// guarded tells whether this very program is attached.
func (d *Datapath) guarded(ctx context.Context, br link, tag string) (bool, error) {
	filters, err := uninterrupted(ctx, func() ([]netlink.Filter, error) {
		return d.rt.FilterList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: br.index}}, netlink.HANDLE_MIN_INGRESS)
	})
	// Without a clsact qdisc there is no list, and the kernel says so in one way or the other.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("guard bridge %s: list filters: %w", br.name, err)
	}
	for _, f := range filters {
		b, ok := f.(*netlink.BpfFilter)
		if ok && b.Name == guardName && b.Tag == tag && b.Priority == guardPriority && b.DirectAction {
			return true, nil
		}
	}
	return false, nil
}
