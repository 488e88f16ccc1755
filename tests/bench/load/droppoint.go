package load

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// DropPoint takes a generator's packets off the receive path at a device's ingress, before any other program there, and
// counts them. All else passes.
type DropPoint struct {
	counts  *ebpf.Map
	program *ebpf.Program
	link    link.Link
}

// frameMark tells a generator's frames from all others at a place: by their length and their port, which ends 6 bytes
// before the header does.
type frameMark struct {
	length uint32
	portAt int32
	port   uint16
}

const portToEnd = 6 // from the destination port to the end of UDP's header

var errDropPoint = errors.New("must be UDP in whole packets to one port")

// newFrameMark describes the frames of a configuration, as they are before or after decapsulation.
func newFrameMark(c Config, decapsulated bool) (m frameMark, err error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return m, err
	}
	if decapsulated {
		c.Tunnel = nil
	}
	t := newTemplate(c)
	if c.Protocol != UDP || t.fragments() > 1 {
		return m, errDropPoint
	}
	m.port = c.Flows[0].Dst.Port()
	for _, f := range c.Flows {
		if f.Dst.Port() != m.port {
			return m, errDropPoint
		}
	}
	l := t.layout(c.Flows[0])
	m.length, m.portAt = l.Length, int32(l.Header)-portToEnd
	return m, nil
}

// NewDropPoint makes one for a generator's packets at a device that they come up at, decapsulated or still in the tunnel.
// It needs root and kernel 6.6 (tcx). The caller closes it.
func NewDropPoint(c Config, at Device, decapsulated bool) (*DropPoint, error) {
	mark, err := newFrameMark(c, decapsulated)
	if err != nil {
		return nil, fmt.Errorf("make drop point: %w", err)
	}
	d := &DropPoint{}
	if err := d.open(mark, at); err != nil {
		return nil, errors.Join(fmt.Errorf("make drop point at %s: %w", at.Name, err), d.Close())
	}
	return d, nil
}

func (d *DropPoint) open(mark frameMark, at Device) (err error) {
	if d.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return err
	}
	spec := &ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: mark.drop(d.counts)}
	if d.program, err = ebpf.NewProgram(spec); err != nil {
		return err
	}
	return onThread(at.Namespace, anyCPU, func() error {
		device, err := net.InterfaceByName(at.Name)
		if err != nil {
			return fmt.Errorf("find device %s: %w", at.Name, err)
		}
		d.link, err = link.AttachTCX(link.TCXOptions{
			Program: d.program, Interface: device.Index, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
		})
		return err
	})
}

// Verdicts of linux/bpf.h, enum tcx_action_base.
const (
	tcxNext = -1
	tcxDrop = 2
)

// segmentsAt is the offset of gso_segs in struct __sk_buff (linux/bpf.h).
const segmentsAt = 164

// drop counts and drops the frames that are meant, and lets all others go on. A chain that GRO has made of several has the headers of the
// first, and is longer.
func (m frameMark) drop(counts *ebpf.Map) asm.Instructions {
	const key, port = -4, -8 // on the stack
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, segmentsAt, asm.Word),
		asm.JGT.Imm(asm.R7, 1, "port"),
		asm.Mov.Imm(asm.R7, 1),
		asm.LoadMem(asm.R0, asm.R6, 0, asm.Word), // len
		asm.JNE.Imm(asm.R0, int32(m.length), "next"),

		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("port"),
		asm.Mov.Imm(asm.R2, m.portAt),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, port),
		asm.Mov.Imm(asm.R4, 2),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "next"),
		asm.LoadMem(asm.R0, asm.RFP, port, asm.Half),
		asm.HostTo(asm.BE, asm.R0, asm.Half),
		asm.JNE.Imm(asm.R0, int32(m.port), "next"),

		asm.StoreImm(asm.RFP, key, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R7),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, tcxDrop),
		asm.Return(),

		asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("next"),
		asm.Return(),
	}
}

// Dropped is how many packets were dropped here so far, by the number of the core that did it.
func (d *DropPoint) Dropped() ([]uint64, error) {
	var byCore []uint64
	if err := d.counts.Lookup(uint32(0), &byCore); err != nil {
		return nil, fmt.Errorf("read drop point: %w", err)
	}
	return byCore, nil
}

// Close lets packets pass again. It may be called again.
func (d *DropPoint) Close() error {
	var all []error
	if d.link != nil {
		all = append(all, d.link.Close())
		d.link = nil
	}
	return errors.Join(append(all, d.program.Close(), d.counts.Close())...)
}
