package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// injector runs the generator's program in the kernel.
type injector struct {
	thread  *thread // in the device's namespace, on the core that plays the NIC
	objects genObjects
	hold    *hold
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
)

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
	if i.hold, err = newHold(i.objects.Generate); err != nil {
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
	return nil
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

// drive lets the program have so many turns as next says, again and again until that is none.
func (i *injector) drive(next func() (uint32, error)) error {
	return i.thread.do(func() error {
		for {
			turns, err := next()
			if err != nil || turns == 0 {
				return err
			}
			if err := i.turn(turns); err != nil {
				return err
			}
		}
	})
}

func (i *injector) turn(turns uint32) error {
	if err := i.objects.Fresh.Set(uint32(1)); err != nil {
		return fmt.Errorf("set up run: %w", err)
	}
	_, err := i.objects.Generate.Run(&ebpf.RunOptions{Data: i.frame, Context: i.context, Repeat: turns, Flags: liveFrames, BatchSize: i.batch})
	if err != nil {
		return fmt.Errorf("run generator: %w", err)
	}
	return nil
}

func (i *injector) close() error {
	var all []error
	if i.tap != nil {
		all = append(all, i.tap.Close())
	}
	if i.hold != nil {
		all = append(all, i.hold.close())
	}
	all = append(all, i.objects.Close())
	if i.thread != nil {
		i.thread.close()
	}
	return errors.Join(all...)
}
