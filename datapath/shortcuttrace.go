package datapath

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Trace is what the shortcut's programs saw of a network's packets since the trace began.
type Trace struct {
	Flows []TracedFlow `json:"flows"`
	Lost  uint64       `json:"lost,omitempty"` // packets of flows for which there was no room
}

// TracedFlow is what went one way of the packets from one place to another. Only whole TCP and UDP packets show ports.
type TracedFlow struct {
	Protocol   string     `json:"protocol"`
	Source     netip.Addr `json:"source"`
	Target     netip.Addr `json:"target"`
	SourcePort uint16     `json:"source_port,omitempty"`
	TargetPort uint16     `json:"target_port,omitempty"`
	Way        string     `json:"way"` // a key of ShortcutNetwork.Ways
	WayCount
}

// Errors of traces.
var (
	ErrTracing     = errors.New("another trace is running")
	ErrNotShortcut = errors.New("the network is not to be on the shortcut")
)

// StartTrace has the programs note, for so long, which way each flow of a network goes. One trace runs at a time.
func (d *Datapath) StartTrace(vni VNI, length time.Duration) error {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.networks[vni]; !known || s.programs == nil {
		return ErrNotShortcut
	}
	was, err := s.programs.tracing()
	if err != nil {
		return err
	}
	if now := monotonic(); was.Until > now {
		return fmt.Errorf("%w, of VNI %d, for another %s", ErrTracing, was.Vni, time.Duration(was.Until-now).Round(time.Second))
	}
	if err := s.programs.forgetTrace(); err != nil {
		return err
	}
	return s.programs.setTracing(shortcutTracing{Until: monotonic() + uint64(length), Vni: uint32(vni)})
}

// Trace reads what the last trace has noted until now.
func (d *Datapath) Trace() (Trace, error) {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return Trace{}, ErrNotShortcut
	}
	return s.programs.readTrace()
}

// EndTrace ends a trace and forgets what it noted.
func (d *Datapath) EndTrace() error {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return nil
	}
	return errors.Join(s.programs.setTracing(shortcutTracing{}), s.programs.forgetTrace())
}

func (p *shortcutting) tracing() (t shortcutTracing, err error) {
	if err := p.objects.Tracings.Lookup(uint32(0), &t); err != nil {
		return t, fmt.Errorf("read trace: %w", err)
	}
	return t, nil
}

func (p *shortcutting) setTracing(t shortcutTracing) error {
	if err := p.objects.Tracings.Put(uint32(0), t); err != nil {
		return fmt.Errorf("set trace: %w", err)
	}
	return nil
}

func (p *shortcutting) readTrace() (Trace, error) {
	now, err := p.tracing()
	if err != nil {
		return Trace{}, err
	}
	trace := Trace{Flows: []TracedFlow{}, Lost: now.Lost}
	var (
		flow shortcutTracedFlow
		n    shortcutTraced
	)
	err = each(p.objects.TracedFlows, &flow, &n, func() { trace.Flows = append(trace.Flows, tracedFlow(flow, n)) })
	if err != nil {
		return Trace{}, fmt.Errorf("read traced flows: %w", err)
	}
	return trace, nil
}

func (p *shortcutting) forgetTrace() error {
	var (
		flow  shortcutTracedFlow
		n     shortcutTraced
		flows []shortcutTracedFlow
	)
	errs := []error{each(p.objects.TracedFlows, &flow, &n, func() { flows = append(flows, flow) })}
	for _, f := range flows {
		if err := p.objects.TracedFlows.Delete(f); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("forget traced flows: %w", err)
	}
	return nil
}

func tracedFlow(f shortcutTracedFlow, n shortcutTraced) TracedFlow {
	return TracedFlow{
		Protocol: tracedProtocol(hostOrder16(f.Ethertype), f.Protocol), Source: fromKernel(f.Source), Target: fromKernel(f.Target),
		SourcePort: hostOrder16(f.SourcePort), TargetPort: hostOrder16(f.TargetPort), Way: ways[shortcutWay(f.Way)], WayCount: WayCount{n.Packets, n.Bytes},
	}
}

// tracedProtocol is the protocol above IP, or what is there in IP's place.
func tracedProtocol(ethertype uint16, protocol uint8) string {
	switch ethertype {
	case unix.ETH_P_IP, unix.ETH_P_IPV6:
		return ProtocolName(protocol)
	case unix.ETH_P_ARP:
		return "arp"
	}
	return fmt.Sprintf("ethertype 0x%04x", ethertype)
}

// Ways names all that may become of a packet.
func Ways() []string { return slices.Sorted(maps.Values(ways)) }
