package load

import (
	"errors"
	"fmt"
)

// Protocol of the generated packets.
type Protocol uint8

// The protocols.
const (
	UDP Protocol = iota
	TCP
)

func (p Protocol) String() string { return [...]string{"UDP", "TCP"}[p] }

// Entry says by which way frames reach the receiving device.
type Entry uint8

const (
	// Stack: the device is the receiving one, and frames come up there as ready packets. They pass its tc programs,
	// RPS and generic XDP; they meet neither native XDP nor the NIC's GRO. (A VXLAN device has one of its own.)
	Stack Entry = iota
	// NAPI: the device is the other end of the receiving veth, and frames go out of it as from a wire: they meet
	// native XDP, GRO and then all that Stack meets, in a softirq. The receiving end must have GRO on (EnableGRO)
	// or an XDP program, else it takes none (kernel, veth_xdp_xmit).
	NAPI
)

// Faults are errors that the generator makes on purpose, to check who counts them: one kind at most. Each is the period in
// packets of a flow; 0 is never.
type Faults struct {
	Drop      uint32 // of each so many sequence numbers the last is left out; at least 2
	Swap      uint32 // of each so many packets the last two are swapped; at least 2
	Duplicate uint32 // of each so many packets the last is sent twice
}

// Config describes a Generator.
type Config struct {
	At       Device
	Entry    Entry
	CPU      int // the core that plays the NIC
	Protocol Protocol
	Flows    []Flow
	Tunnel   *Tunnel // nil: none
	Payload  int     // bytes of a UDP datagram or a TCP segment, less all headers
	MTU      int     // of the flows' IP packets; longer datagrams are sent as fragments
	Checksum bool    // of UDP; optional over IPv4
	Batch    int     // turns of the program per batch; 0 is 64, the budget of a NAPI poll
	Ring     int     // frames that the NIC holds at most; 0 is 1024, greatest is 4096
	Faults   Faults  // UDP only

	// TCP only.

	Sequence uint32  // of the first byte of each stream
	Window   int     // bytes of a stream in flight at most, in place of congestion control; 0 is 512 KB
	Replies  *Device // at whose ingress acknowledgements come by; nil is At, which then must be the other end (NAPI)
}

// Limits.
const (
	stampSize     = 16 // least payload of UDP: number and time
	greatestUDP   = 65507
	greatestFrame = 3400 // of a test run: a page less headroom (256), skb_shared_info (320) and bookkeeping
	greatestRing  = 4096 // RING_MAX
	greatestBatch = 256  // TEST_XDP_MAX_BATCH
	greatestFlows = 1 << 12
	greatestSlots = 1 << 16
)

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	fill := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	fill(&c.MTU, 1500)
	fill(&c.Ring, 1024)
	fill(&c.Window, 512<<10)
	fill(&c.Batch, 64)
	if c.Protocol == TCP && c.Replies == nil && c.Entry == NAPI {
		c.Replies = &c.At
	}
	return c
}

// validate names the field that cannot be.
func (c Config) validate() error {
	within := func(field string, value, least, most int) error {
		if value < least || value > most {
			return fmt.Errorf("%s %d: must be %d to %d", field, value, least, most)
		}
		return nil
	}
	if len(c.Flows) == 0 {
		return errors.New("no flows")
	}
	if c.At.Name == "" {
		return errors.New("no device")
	}
	if c.Protocol > TCP {
		return fmt.Errorf("unknown protocol %d", c.Protocol)
	}
	return errors.Join(
		within("flows", len(c.Flows), 1, greatestFlows),
		within("batch", c.Batch, 1, greatestBatch),
		within("ring", c.Ring, 1, greatestRing),
		within("MTU", c.MTU, 576, greatestFrame),
		c.validateFlows(), c.validateTunnel(), c.validateProtocol(within))
}

func (c Config) validateFlows() error {
	for i, f := range c.Flows {
		switch {
		case !f.Src.IsValid() || !f.Dst.IsValid():
			return fmt.Errorf("flow %d: no addresses", i)
		case f.Src.Addr().Is4() != f.Dst.Addr().Is4() || f.Src.Addr().Is4() != c.Flows[0].Src.Addr().Is4():
			return fmt.Errorf("flow %d: %v to %v: all addresses must be of one family", i, f.Src, f.Dst)
		case f.Src.Addr().Is4In6() || f.Dst.Addr().Is4In6():
			return fmt.Errorf("flow %d: %v to %v: an IPv4 address in IPv6 form", i, f.Src, f.Dst)
		}
	}
	return nil
}

func (c Config) validateTunnel() error {
	t := c.Tunnel
	switch {
	case t == nil:
		return nil
	case !t.Src.IsValid() || !t.Dst.IsValid() || t.Src.Is4() != t.Dst.Is4():
		return fmt.Errorf("tunnel %v to %v: must be two addresses of one family", t.Src, t.Dst)
	case t.VNI == 0 || t.VNI >= 1<<24:
		return fmt.Errorf("tunnel VNI %d: must be 1 to 16777215", t.VNI)
	}
	return nil
}

func (c Config) validateProtocol(within func(string, int, int, int) error) error {
	v6 := !c.Flows[0].Src.Addr().Is4()
	switch {
	case c.Protocol == UDP && c.Replies != nil:
		return errors.New("replies: TCP only")
	case c.Protocol == UDP && v6 && !c.Checksum:
		return errors.New("no checksum: IPv6 requires UDP's (RFC 8200, section 8.1)")
	case c.Protocol == UDP && (c.Faults.Drop == 1 || c.Faults.Swap == 1):
		return errors.New("faults: the least period is 2")
	case c.Protocol == UDP && flag(c.Faults.Drop > 0)+flag(c.Faults.Swap > 0)+flag(c.Faults.Duplicate > 0) > 1:
		return errors.New("faults: one kind at a time")
	case c.Protocol == UDP:
		return within("payload", c.Payload, stampSize, greatestUDP)
	case c.Replies == nil:
		return errors.New("no device for replies: TCP needs its acknowledgements")
	case c.Faults != Faults{}:
		return errors.New("faults: UDP only")
	}
	most := c.MTU - headerSize(v6) - tcpSize
	return errors.Join(within("payload", c.Payload, 1, most), within("window", c.Window, c.Payload, 1<<30))
}
