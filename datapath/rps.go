package datapath

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var (
	// ErrNoRPS: the kernel was built without CONFIG_RPS.
	ErrNoRPS = errors.New("kernel has no RPS")
	// ErrRPSReduced: a device steers to fewer CPUs than it was told to, so that a CPU's rank among them is not what
	// the caller thinks.
	ErrRPSReduced = errors.New("kernel does not steer to all of these CPUs")
)

// setRPS makes all receive queues of a device steer to the CPUs of mask; none turns steering off. What the kernel
// (6.18, net/core/net-sysfs.c) makes of a mask:
//
//   - It becomes a list of CPUs in ascending order, and a packet goes to number (hash * len) >> 32 of it.
//   - CPUs that are offline are left out of the list. One that comes online later is not added: write again.
//   - One that goes offline later stays in the list; its packets are not steered meanwhile. Ranks do not change.
//   - CPUs that were isolated at boot are left out as well (isolcpus= and nohz_full=, kernel 5.9). If there is no
//     other in the mask, the kernel refuses it (EINVAL) and keeps what it had.
//   - A mask with a CPU that the machine cannot have is refused (EOVERFLOW).
//   - The list belongs to the device's queue and moves with the device to another namespace.
//
// Where it cannot be as the caller wants, the error is ErrRPSReduced, and the rest of the CPUs is in force.
func (s *sysfs) setRPS(ctx context.Context, device string, mask CPUSet) (changed bool, err error) {
	set := func() error {
		some, err := s.setQueues(ctx, device, mask)
		changed = changed || some
		return err
	}
	err = set()
	if errors.Is(err, unix.EROFS) {
		err = s.writable(set)
	}
	if err != nil {
		return changed, fmt.Errorf("set RPS of device %s: %w", device, err)
	}
	return changed, nil
}

func (s *sysfs) setQueues(ctx context.Context, device string, mask CPUSet) (changed bool, err error) {
	var reduced error
	err = s.eachQueue(ctx, device, func(path string) error {
		some, err := s.setQueue(path, mask)
		changed = changed || some
		if errors.Is(err, ErrRPSReduced) {
			reduced, err = err, nil // the other queues get what can be had as well
		}
		return err
	})
	return changed, errors.Join(err, reduced)
}

// setQueue writes a mask if it is not there already, and looks at what became of it.
func (s *sysfs) setQueue(path string, mask CPUSet) (changed bool, err error) {
	before, err := s.readMask(path)
	if err != nil || before == mask {
		return false, err
	}
	err = s.writeMask(path, mask)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOVERFLOW) {
		return false, fmt.Errorf("%w: it refuses %s: isolated, or not of this machine", ErrRPSReduced, mask)
	}
	if err != nil {
		return false, err
	}
	after, err := s.readMask(path)
	if err == nil && after != mask {
		err = fmt.Errorf("%w: not to %s: isolated or offline", ErrRPSReduced, mask.Minus(after))
	}
	return after != before, err
}

// rps gives the CPUs that each receive queue of a device steers to.
func (s *sysfs) rps(ctx context.Context, device string) ([]CPUSet, error) {
	var queues []CPUSet
	err := s.eachQueue(ctx, device, func(path string) error {
		set, err := s.readMask(path)
		if err == nil {
			queues = append(queues, set)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get RPS of device %s: %w", device, err)
	}
	return queues, nil
}

// eachQueue runs f on the file of each receive queue's mask. Queues are numbered without gaps.
func (s *sysfs) eachQueue(ctx context.Context, device string, f func(path string) error) error {
	for queue := 0; ; queue++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f(fmt.Sprintf("class/net/%s/queues/rx-%d/rps_cpus", device, queue))
		switch {
		case errors.Is(err, unix.ENOENT) && queue > 0:
			return nil
		case errors.Is(err, unix.ENOENT):
			return s.whyNoQueue(device)
		case errors.Is(err, unix.ENODEV):
			return errNoLink // it went after the file was opened
		case err != nil:
			return err
		}
	}
}

func (s *sysfs) readMask(path string) (CPUSet, error) {
	file, err := unix.Openat(s.root, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return CPUSet{}, err
	}
	defer unix.Close(file)
	var text [maxCPUs/32*9 + 1]byte
	n, err := unix.Read(file, text[:])
	if err != nil {
		return CPUSet{}, err
	}
	return parseCPUMask(string(text[:n]))
}

func (s *sysfs) writeMask(path string, mask CPUSet) error {
	file, err := unix.Openat(s.root, path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	_, err = unix.Write(file, []byte(mask.Mask()))
	return err
}

func (s *sysfs) whyNoQueue(device string) error {
	if err := unix.Faccessat(s.root, "class/net/"+device+"/queues/rx-0", unix.F_OK, 0); err != nil {
		return errNoLink
	}
	return ErrNoRPS
}

// setRPSIn is setRPS for a device in ns, such as a container's. Calls for one namespace must not overlap: one could
// make its sysfs read-only again before the other has written.
func setRPSIn(ctx context.Context, ns netns.NsHandle, device string, mask CPUSet) (changed bool, err error) {
	s, err := openSysfs(ns)
	if err != nil {
		return false, fmt.Errorf("set RPS of device %s: %w", device, err)
	}
	changed, err = s.setRPS(ctx, device, mask)
	return changed, errors.Join(err, s.close())
}
