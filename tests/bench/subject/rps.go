package subject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"falcon/tests/lab"
)

// setRPS spreads what the devices of the overlay's receive path take over all cores, on both hosts, or ends that. It is
// what one would do who tunes Docker's overlay (kernel, Documentation/networking/scaling.rst).
func (b *Bed) setRPS(ctx context.Context, s setting) error {
	mask := noCores
	if s == on {
		var err error
		if mask, err = onlineCores(); err != nil {
			return fmt.Errorf("set RPS: %w", err)
		}
	}
	b.rps = unknown
	err := b.onHosts(ctx, func(ctx context.Context, h *lab.Host) error { return b.spread(ctx, h, mask) })
	if err != nil {
		return fmt.Errorf("set RPS: %w", err)
	}
	b.rps = s
	return nil
}

// noCores is the mask that turns RPS off.
const noCores = "0"

// spread writes a mask to the devices of one host: its NIC's, those of the overlay, and those in containers.
func (b *Bed) spread(ctx context.Context, h *lab.Host, mask string) error {
	hidden, err := h.OverlayNamespace(ctx, overlay)
	if err != nil {
		return err
	}
	errs := []error{writeRPS(h, "", NIC, mask), writeRPS(h, hidden, "*", mask)}
	for _, p := range b.places {
		if p.Host == h && p.network == overlay {
			errs = append(errs, writeRPS(h, p.Sandbox, p.Device.Name, mask))
		}
	}
	return errors.Join(errs...)
}

// writeRPS writes a mask to the receive queues of devices that match a pattern in a namespace of a host.
func writeRPS(h *lab.Host, sandbox, devices, mask string) error {
	return inSys(h, sandbox, func() error {
		files, err := rpsFiles(devices)
		for _, f := range files {
			err = errors.Join(err, os.WriteFile(f, []byte(mask), 0))
		}
		return err
	})
}

// rpsFiles finds the receive queues of devices in the thread's sysfs.
func rpsFiles(devices string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(sysMount, "class/net", devices, "queues/rx-*/rps_cpus"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no device %s with receive queues", devices)
	}
	return files, err
}

// sysMount is where a thread of inSys sees its sysfs: a place that any host has, and that it does not need.
const sysMount = "/tmp"

// inSys runs fn on a thread that sees a sysfs of a network namespace at sysMount: sysfs shows the namespace in which it was
// mounted, whoever looks. The thread has a mount namespace of its own, with which the mount goes.
func inSys(h *lab.Host, sandbox string, fn func() error) error {
	return h.InNet(sandbox, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
		if err := unix.Mount("sysfs", sysMount, "sysfs", 0, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
		// A network namespace has one sysfs, and a container's is read-only since its runtime mounted it so. The
		// container's own mount stays read-only.
		if err := unix.Mount("", sysMount, "", unix.MS_REMOUNT, ""); err != nil {
			return os.NewSyscallError("remount", err)
		}
		return fn()
	})
}

// onlineCores is all online cores as the kernel reads them: groups of 32 bits in hexadecimal, the greatest first.
func onlineCores() (string, error) {
	raw, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return "", err
	}
	return maskOf(strings.TrimSpace(string(raw)))
}

// maskOf turns a list such as 0-3,8 into a mask.
func maskOf(list string) (string, error) {
	var groups []uint32
	for part := range strings.SplitSeq(list, ",") {
		var first, last int
		if n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n == 0 {
			return "", fmt.Errorf("read list of cores %q", list)
		} else if n == 1 {
			last = first
		}
		for cpu := first; cpu <= last; cpu++ {
			for len(groups) <= cpu/32 {
				groups = append(groups, 0)
			}
			groups[cpu/32] |= 1 << (cpu % 32)
		}
	}
	words := make([]string, len(groups))
	for i, g := range groups {
		words[len(groups)-1-i] = fmt.Sprintf("%08x", g)
	}
	return strings.Join(words, ","), nil
}
