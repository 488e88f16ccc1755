package datapath

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hook is a place where a device's packets meet programs.
type hook struct {
	device int // index
	egress bool
}

// hookHandle is what `tc filter show` shows of our programs, besides their names and priorities.
const hookHandle = 0xfa1c

// priorityOf is the order of programs of ours at one hook: what takes the shortcut is seen by falcon_nic before.
func priorityOf(name string) uint16 {
	if name == nameIn {
		return 2
	}
	return 1
}

// haveTCX tells whether the kernel has TCX (6.6). The calling thread must be in the host's namespace.
func haveTCX() bool {
	const loopback = 1
	_, err := ebpflink.QueryPrograms(ebpflink.QueryOptions{Target: loopback, Attach: ebpf.AttachTCXIngress})
	return err == nil
}

func (h hook) attachType() ebpf.AttachType {
	if h.egress {
		return ebpf.AttachTCXEgress
	}
	return ebpf.AttachTCXIngress
}

// attachTCX puts a program first at a hook, or after the one of ours that comes before, or in the place of another version of it, in one step. It has no link, and so lives
// as long as its device, whoever dies. The calling thread must be in the device's namespace.
//
// The kernel waits for an RCU grace period, some 10 ms, with the RTNL lock held (tcx_entry_sync): good for the NIC and for a
// network's device, too slow for each container's.
func (h hook) attachTCX(p *ebpf.Program, name string) (outcome, error) {
	old, id, err := h.findTCX(name)
	if err != nil {
		return kept, err
	}
	defer old.Close()
	var anchor ebpflink.Anchor = ebpflink.Head()
	if old != nil {
		info, err := p.Info()
		if err != nil {
			return kept, fmt.Errorf("attach %s: %w", name, err)
		}
		if own, ok := info.ID(); ok && own == id {
			return kept, nil
		}
		anchor = ebpflink.ReplaceProgram(old)
	} else if priorityOf(name) > 1 {
		before, _, err := h.findTCX(nameNIC)
		if err != nil {
			return kept, err
		}
		if before != nil {
			defer before.Close()
			anchor = ebpflink.AfterProgram(before)
		}
	}
	err = ebpflink.RawAttachProgram(ebpflink.RawAttachProgramOptions{Target: h.device, Program: p, Attach: h.attachType(), Anchor: anchor})
	if err != nil {
		return kept, fmt.Errorf("attach %s to device number %d: %w", name, h.device, err)
	}
	return repaired, nil
}

// findTCX finds the program of ours with a name that is attached; nil if there is none.
func (h hook) findTCX(name string) (found *ebpf.Program, id ebpf.ProgramID, err error) {
	err = h.eachTCX(func(p *ebpf.Program, which ebpf.ProgramID) bool {
		info, err := p.Info()
		if err != nil || info.Name != name {
			return false
		}
		found, id = p, which
		return true
	})
	return found, id, err
}

// eachTCX visits the attached programs in order, until one is to be kept open.
func (h hook) eachTCX(visit func(p *ebpf.Program, id ebpf.ProgramID) (keep bool)) error {
	attached, err := ebpflink.QueryPrograms(ebpflink.QueryOptions{Target: h.device, Attach: h.attachType()})
	if err != nil {
		return fmt.Errorf("list programs of device number %d: %w", h.device, err)
	}
	for _, a := range attached.Programs {
		p, err := ebpf.NewProgramFromID(a.ID)
		if errors.Is(err, unix.ENOENT) {
			continue // detached since
		}
		if err != nil {
			return fmt.Errorf("look at program %d: %w", a.ID, err)
		}
		if visit(p, a.ID) {
			return nil
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
	return nil
}

// detachTCX takes our program off a hook; none there is no error.
func (h hook) detachTCX(name string) error {
	old, _, err := h.findTCX(name)
	if err != nil || old == nil {
		return err
	}
	defer old.Close()
	err = ebpflink.RawDetachProgram(ebpflink.RawDetachProgramOptions{Target: h.device, Program: old, Attach: h.attachType()})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("detach %s from device number %d: %w", name, h.device, err)
	}
	return nil
}

func (h hook) parent() uint32 {
	if h.egress {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

// attachTC does the same with clsact, which every kernel has and which waits for nothing. The filter holds the program.
func (r *rtnl) attachTC(ctx context.Context, h hook, p *ebpf.Program, name string) (outcome, error) {
	info, err := p.Info()
	if err != nil {
		return kept, fmt.Errorf("attach %s: %w", name, err)
	}
	id, _ := info.ID()
	found, err := r.findTC(ctx, h, name)
	if err != nil {
		return kept, err
	}
	if found != nil && found.Id == int(id) {
		return kept, nil
	}
	return repaired, r.putTC(h, p, name)
}

// putTC attaches a program, in the place of another version of it.
func (r *rtnl) putTC(h hook, p *ebpf.Program, name string) error {
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: h.device, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}}
	if err := r.QdiscAdd(clsact); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("attach %s: add clsact qdisc to device number %d: %w", name, h.device, err)
	}
	if err := r.FilterReplace(h.filter(p.FD(), name)); err != nil {
		return fmt.Errorf("attach %s to device number %d: %w", name, h.device, err)
	}
	return nil
}

func (h hook) filter(fd int, name string) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: h.device, Parent: h.parent(),
			Handle: hookHandle, Priority: priorityOf(name), Protocol: unix.ETH_P_ALL},
		Fd: fd, Name: name, DirectAction: true,
	}
}

// findTC finds our filter with a name; nil if there is none.
func (r *rtnl) findTC(ctx context.Context, h hook, name string) (*netlink.BpfFilter, error) {
	filters, err := r.filters(ctx, h)
	if err != nil {
		return nil, err
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == name && b.Priority == priorityOf(name) && b.DirectAction {
			return b, nil
		}
	}
	return nil, nil
}

// filters lists what is attached with tc, in order.
func (r *rtnl) filters(ctx context.Context, h hook) ([]netlink.Filter, error) {
	list, err := uninterrupted(ctx, func() ([]netlink.Filter, error) {
		return r.FilterList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: h.device}}, h.parent())
	})
	// Without a clsact qdisc there is no list, and the kernel says so in one way or the other.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list filters of device number %d: %w", h.device, err)
	}
	return list, nil
}

// detachTC takes our filter off; none there, or no device, is no error. The qdisc stays: it may have become others' too.
func (r *rtnl) detachTC(ctx context.Context, h hook, name string) error {
	found, err := r.findTC(ctx, h, name)
	if err != nil || found == nil {
		return err
	}
	if err := r.FilterDel(found); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("detach %s from device number %d: %w", name, h.device, err)
	}
	return nil
}
