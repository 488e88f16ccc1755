package load

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// plan is a configuration in the form that the program takes.
type plan struct {
	settings genSettings
	frame    []byte // that each turn starts from
	frames   []genFrame
	slots    []genSlot
	streams  []genStream
	keys     []genStreamKey
}

// windowShift is the window scale of the sinks: windows of up to 8 MB (RFC 7323, section 2.3).
const windowShift = 7

// initialWindow is what a stream may send before the first acknowledgement, in segments (RFC 6928).
const initialWindow = 10

func newPlan(c Config) (plan, error) {
	t := newTemplate(c)
	slots, err := schedule(c.Flows)
	if err != nil {
		return plan{}, err
	}
	p := plan{slots: slots, frame: t.frame(c.Flows[0], 0, variables{})}
	if len(p.frame) > greatestFrame {
		return plan{}, fmt.Errorf("frames of %d bytes: must be at most %d", len(p.frame), greatestFrame)
	}
	for _, f := range c.Flows {
		p.frames = append(p.frames, t.frames(f)...)
		p.streams = append(p.streams, genStream{
			Acknowledged: c.Sequence, Next: c.Sequence, Recover: c.Sequence, Seen: c.Sequence,
			Edge: c.Sequence + uint32(initialWindow*c.Payload),
		})
		p.keys = append(p.keys, newStreamKey(f))
	}
	p.settings = genSettings{
		Layout:    t.layout(c.Flows[0]),
		Fragments: uint32(t.fragments()), Slots: uint32(len(slots)), Batch: uint32(c.Batch), Ring: uint32(c.Ring),
		Payload: uint32(c.Payload), Window: uint32(c.Window), Shift: windowShift,
		Out: flag(c.Entry == NAPI), Tcp: flag(c.Protocol == TCP), Ipv6: flag(c.Flows[0].Src.Addr().Is6()),
	}
	p.settings.Faults.Drop, p.settings.Faults.Swap, p.settings.Faults.Duplicate = c.Faults.Drop, c.Faults.Swap, c.Faults.Duplicate
	return p, nil
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// newStreamKey names a flow as its receiver does.
func newStreamKey(f Flow) genStreamKey {
	k := genStreamKey{LocalPort: bigEndian(f.Dst.Port()), RemotePort: bigEndian(f.Src.Port())}
	copy(k.Local[:], f.Dst.Addr().AsSlice())
	copy(k.Remote[:], f.Src.Addr().AsSlice())
	return k
}

func bigEndian(port uint16) uint16 { return port<<8 | port>>8 }

// load brings programs and maps into the kernel.
func (p plan) load(into *genObjects) error {
	spec, err := loadGen()
	if err != nil {
		return err
	}
	if err := spec.Variables[genVarSettings].Set(p.settings); err != nil {
		return fmt.Errorf("set up generator: %w", err)
	}
	for name, size := range map[string]int{
		genMapFrames: len(p.frames), genMapSchedule: len(p.slots),
		genMapCounts: len(p.streams), genMapStreams: len(p.streams), genMapStreamOf: len(p.streams),
	} {
		spec.Maps[name].MaxEntries = uint32(size)
	}
	if err := spec.LoadAndAssign(into, nil); err != nil {
		return fmt.Errorf("load generator: %w", err)
	}
	return p.fill(into)
}

func (p plan) fill(o *genObjects) error {
	if err := fill(o.Frames, p.frames); err != nil {
		return err
	}
	if err := fill(o.Schedule, p.slots); err != nil {
		return err
	}
	if err := fill(o.Streams, p.streams); err != nil {
		return err
	}
	for i, key := range p.keys {
		if err := o.StreamOf.Put(key, uint32(i)); err != nil {
			return fmt.Errorf("fill generator's map: %w", err)
		}
	}
	return nil
}

// fill sets the first elements of an array.
func fill[T any](m *ebpf.Map, values []T) error {
	for i, v := range values {
		if err := m.Put(uint32(i), v); err != nil {
			return fmt.Errorf("fill generator's map: %w", err)
		}
	}
	return nil
}

// reset zeroes the first elements of an array.
func reset[T any](m *ebpf.Map, n int) error { return fill(m, make([]T, n)) }

// read gets the first elements of an array.
func read[T any](m *ebpf.Map, n int) ([]T, error) {
	all := make([]T, n)
	for i := range all {
		if err := m.Lookup(uint32(i), &all[i]); err != nil {
			return nil, fmt.Errorf("read generator's map: %w", err)
		}
	}
	return all, nil
}
