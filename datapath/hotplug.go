package datapath

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	kernelUevents = 1       // the kernel's multicast group; udev's own is 2
	ueventSize    = 8 << 10 // the kernel has 2 KiB for the fields (UEVENT_BUFFER_SIZE), and a path before them
)

// watchCPUs calls changed when a CPU has come online or gone offline, or may have, until ctx ends, whose error it
// returns, or the subscription breaks. The kernel tells of CPUs in every network namespace that belongs to the
// initial user namespace (kernel 4.18): in the host's, and not in that of a container with a user namespace.
func (d *Datapath) watchCPUs(ctx context.Context, changed func()) error {
	events, err := d.openUevents(ctx)
	if err != nil {
		return fmt.Errorf("watch CPUs: %w", err)
	}
	defer events.Close()
	stop := context.AfterFunc(ctx, func() { events.Close() })
	defer stop()
	msg := make([]byte, ueventSize)
	for {
		n, err := events.Read(msg)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS): // events were lost
			changed()
		case err != nil:
			return fmt.Errorf("watch CPUs: %w", err)
		case isHotplug(msg[:n]):
			changed()
		}
	}
}

// openUevents subscribes in the host's namespace. Reads of the file end when it is closed.
func (d *Datapath) openUevents(ctx context.Context) (*os.File, error) {
	socket := -1
	err := d.inHost(ctx, func() (err error) {
		socket, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open uevents: %w", err)
	}
	if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelUevents}); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to uevents: %w", err), unix.Close(socket))
	}
	return os.NewFile(uintptr(socket), "uevents"), nil
}

// isHotplug tells whether a uevent says that a CPU came or went.
func isHotplug(msg []byte) bool {
	action, subsystem := parseUevent(msg)
	return subsystem == "cpu" && (action == "online" || action == "offline")
}

// parseUevent reads the kernel's format: action@path, then KEY=value fields, each ended by a zero byte.
func parseUevent(msg []byte) (action, subsystem string) {
	_, fields, _ := bytes.Cut(msg, []byte{0})
	for field := range bytes.SplitSeq(fields, []byte{0}) {
		switch key, value, _ := bytes.Cut(field, []byte{'='}); string(key) {
		case "ACTION":
			action = string(value)
		case "SUBSYSTEM":
			subsystem = string(value)
		}
	}
	return action, subsystem
}
