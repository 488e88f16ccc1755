package datapath

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SteeringCPUs gives the CPUs that packets are steered to unless the user names others, and the online ones that are left out
// because they are isolated.
func SteeringCPUs() (used, isolated CPUSet, err error) {
	line, err := readLineup("")
	return line.all, line.machine.Online.Minus(line.all), err
}

// ProgramsBefore names what of others sees a device's packets before our program that steers does, in order; nothing if ours is not there.
func (d *Datapath) ProgramsBefore(ctx context.Context, device string) ([]string, error) {
	l, err := d.rt.linkByName(ctx, device)
	if err != nil {
		return nil, fmt.Errorf("list programs of %s: %w", device, err)
	}
	var names []string
	err = d.inHost(ctx, func() (err error) {
		if haveTCX() {
			names, err = hook{device: l.index}.listTCX()
		} else {
			names, err = d.rt.listTC(ctx, hook{device: l.index})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list programs of %s: %w", device, err)
	}
	for i, name := range names {
		if name == nameNIC {
			return slices.DeleteFunc(names[:i], func(name string) bool { return strings.HasPrefix(name, ownPrograms) }), nil
		}
	}
	return nil, nil
}

// listTCX names the programs at a hook, in order.
func (h hook) listTCX() (names []string, err error) {
	err = h.eachTCX(func(p *ebpf.Program, id ebpf.ProgramID) bool {
		name := fmt.Sprintf("program %d", id)
		if info, err := p.Info(); err == nil && info.Name != "" {
			name = info.Name
		}
		names = append(names, name)
		return false
	})
	return names, err
}

// listTC names the filters at a hook, in order; those that are no program by their kind.
func (r *rtnl) listTC(ctx context.Context, h hook) ([]string, error) {
	filters, err := r.filters(ctx, h)
	var names []string
	for _, f := range filters {
		name := f.Type()
		if b, ok := f.(*netlink.BpfFilter); ok {
			name = b.Name
		}
		names = append(names, name)
	}
	return names, err
}

// QueueSettings are what is set at a device's receive queues, by whomever.
type QueueSettings struct {
	RPS   CPUSet // of all queues together
	Flows int    // entries of their tables of flows, by which RFS overrides what RPS would choose (get_rps_cpu)
}

// QueueSettings reads them.
func (d *Datapath) QueueSettings(ctx context.Context, device string) (QueueSettings, error) {
	var q QueueSettings
	fs, err := d.sysfs.open(d.netns)
	if err != nil {
		return q, fmt.Errorf("read queues of %s: %w", device, err)
	}
	err = fs.eachQueue(ctx, device, func(path string) error {
		mask, err := fs.readMask(path)
		if err != nil {
			return err
		}
		n, err := fs.readNumber(strings.TrimSuffix(path, "rps_cpus") + "rps_flow_cnt")
		q.RPS, q.Flows = q.RPS.Union(mask), q.Flows+n
		return err
	})
	if err != nil {
		return q, fmt.Errorf("read queues of %s: %w", device, err)
	}
	return q, nil
}

func (s *sysfs) readNumber(path string) (int, error) {
	fd, err := unix.Openat(s.root, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	var text [24]byte
	n, err := file.Read(text[:])
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text[:n])))
}
