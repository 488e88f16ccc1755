package load

import (
	"fmt"
	"net"
	"net/netip"
)

// Device is a network device in a network namespace.
type Device struct {
	Namespace string // file of the namespace, see NamespaceOf; empty: that of the caller
	Name      string
}

// NamespaceOf is the file of a process's network namespace.
func NamespaceOf(pid int) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }

// MAC is an Ethernet address.
type MAC [6]byte

// ParseMAC reads an address such as 02:42:0a:00:00:02.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil {
		return MAC{}, err
	}
	if len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("address %s: must have 6 bytes", s)
	}
	return MAC(hw), nil
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Flow is a stream of packets as their sender and receiver know it, without any tunnel.
type Flow struct {
	Src, Dst       netip.AddrPort
	SrcMAC, DstMAC MAC
	Weight         uint32 // packets of this flow per round of the schedule; 0 is 1
}

// Tunnel is the VXLAN encapsulation of all flows (RFC 7348).
type Tunnel struct {
	Src, Dst       netip.Addr
	SrcMAC, DstMAC MAC
	VNI            uint32
	Port           uint16 // destination; 0 is 4789
	Checksum       bool   // of the outer UDP header
}

const vxlanPort = 4789

func (t Tunnel) port() uint16 {
	if t.Port == 0 {
		return vxlanPort
	}
	return t.Port
}
