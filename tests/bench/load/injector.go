package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// injector runs the generator's program in the kernel.
type injector struct {
	thread  *thread // in the device's namespace, on the core that plays the NIC
	objects genObjects
	held    link.Link // keeps the program in the XDP dispatcher
	tap     link.Link // of acknowledgements, or nil
	frame   []byte
	context []byte
	batch   uint32
}

// Of linux/bpf.h.
const (
	liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	mdSize     = 24     // struct xdp_md
	mdDataEnd  = 4
	mdIngress  = 12
	loopback   = 1 // index of a namespace's first device
)

// generatorPriority keeps ordinary processes from taking the NIC's core away.
const generatorPriority = -20

// newInjector loads what a plan describes.
func newInjector(c Config, p plan) (i *injector, failure error) {
	i = &injector{frame: p.frame, batch: uint32(c.Batch)}
	defer func() {
		if failure != nil {
			failure = errors.Join(failure, i.close())
		}
	}()
	var err error
	if i.thread, err = startThread(c.At.Namespace, c.CPU); err != nil {
		return i, err
	}
	if err := p.load(&i.objects); err != nil {
		return i, err
	}
	if i.held, err = hold(i.objects.Generate); err != nil {
		return i, err
	}
	if c.Replies != nil {
		if i.tap, err = tap(*c.Replies, i.objects.Acknowledge); err != nil {
			return i, err
		}
	}
	return i, i.thread.do(func() error { return i.prepare(c.At.Name, c.Entry) })
}

func (i *injector) prepare(device string, entry Entry) error {
	d, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	if d.Flags&net.FlagUp == 0 {
		return fmt.Errorf("device %s is down", device)
	}
	if entry == NAPI {
		if err := checkNAPI(d.Index); err != nil {
			return fmt.Errorf("send through %s: %w", device, err)
		}
	}
	i.context = make([]byte, mdSize)
	binary.NativeEndian.PutUint32(i.context[mdDataEnd:], uint32(len(i.frame)))
	binary.NativeEndian.PutUint32(i.context[mdIngress:], uint32(d.Index))
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, generatorPriority); err != nil {
		return fmt.Errorf("raise priority: %w", err)
	}
	return nil
}

// hold attaches a program to the loopback of a namespace in which nothing happens.
func hold(program *ebpf.Program) (held link.Link, err error) {
	err = onThread("", anyCPU, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		if held, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: loopback, Flags: link.XDPGenericMode}); err != nil {
			return fmt.Errorf("hold the generator's program: %w", err)
		}
		return nil
	})
	return held, err
}

func tap(at Device, program *ebpf.Program) (tapped link.Link, err error) {
	err = onThread(at.Namespace, anyCPU, func() error {
		d, err := net.InterfaceByName(at.Name)
		if err != nil {
			return fmt.Errorf("find device %s: %w", at.Name, err)
		}
		if tapped, err = link.AttachTCX(link.TCXOptions{Program: program, Interface: d.Index, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()}); err != nil {
			return fmt.Errorf("attach to %s for acknowledgements: %w", at.Name, err)
		}
		return nil
	})
	return tapped, err
}

// turn lets the program have so many turns.
func (i *injector) turn(turns uint32) error {
	return i.thread.do(func() error {
		if err := i.objects.Fresh.Set(uint32(1)); err != nil {
			return fmt.Errorf("set up run: %w", err)
		}
		_, err := i.objects.Generate.Run(&ebpf.RunOptions{Data: i.frame, Context: i.context, Repeat: turns, Flags: liveFrames, BatchSize: i.batch})
		if err != nil {
			return fmt.Errorf("run generator: %w", err)
		}
		return nil
	})
}

func (i *injector) close() error {
	var all []error
	for _, l := range []link.Link{i.tap, i.held} {
		if l != nil {
			all = append(all, l.Close())
		}
	}
	all = append(all, i.objects.Close())
	if i.thread != nil {
		i.thread.close()
	}
	return errors.Join(all...)
}
