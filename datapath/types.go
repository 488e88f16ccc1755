package datapath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// What callers test for with errors.Is.
var (
	// ErrNotOurs: a device with the name that we need exists and does not carry our tag.
	ErrNotOurs = errors.New("device belongs to somebody else")
	// ErrVNITaken: another VXLAN device of this host uses the VNI on the same port.
	ErrVNITaken = errors.New("VNI is taken on this host")
	// ErrPortTaken: the VXLAN port cannot be shared with whoever has it.
	ErrPortTaken = errors.New("vxlan port is taken by an incompatible user")
	// ErrUnderlay: the underlay interface or address is missing or down.
	ErrUnderlay = errors.New("underlay is not usable")
	// ErrSandboxGone: a lost veth cannot be rebuilt, for its container's namespace does not exist any more.
	ErrSandboxGone = errors.New("sandbox is gone")
	// ErrLegacyTables: rules of iptables-legacy, which nobody but a person can change safely, drop overlay packets.
	ErrLegacyTables = errors.New("rules of iptables-legacy may drop bridged packets")
	// ErrInterrupted: the kernel's tables kept changing while they were read.
	ErrInterrupted = errors.New("dump was interrupted")
)

// VNI is a VXLAN network identifier, 1 to MaxVNI.
type VNI uint32

// MaxVNI is the largest VNI: 24 bits (RFC 7348, section 5).
const MaxVNI VNI = 1<<24 - 1

// MAC is a 48-bit Ethernet address. It is comparable, unlike net.HardwareAddr.
type MAC [6]byte

// ParseMAC reads the usual colon form of a unicast 48-bit MAC.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	switch {
	case err != nil:
		return MAC{}, fmt.Errorf("parse MAC %q: %w", s, err)
	case len(hw) != 6:
		return MAC{}, fmt.Errorf("parse MAC %q: want 6 bytes, not %d", s, len(hw))
	case hw[0]&1 != 0:
		return MAC{}, fmt.Errorf("parse MAC %q: is a multicast address", s)
	}
	return MAC(hw), nil
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsZero tells whether m is unset.
func (m MAC) IsZero() bool { return m == MAC{} }

// Underlay is the host's side of the network that carries the VXLAN packets.
type Underlay struct {
	Interface string     `json:"interface"`
	Index     int        `json:"-"`
	MTU       int        `json:"mtu"`
	Address   netip.Addr `json:"address"`
	Up        bool       `json:"up"`
}

// Bytes that encapsulation adds: outer IP, UDP (8), VXLAN (8) and inner Ethernet (14) headers.
const (
	overheadIPv4 = 20 + 8 + 8 + 14
	overheadIPv6 = 40 + 8 + 8 + 14
)

// OverlayMTU is the largest packet, in bytes, that a container can send over this underlay unfragmented.
func (u Underlay) OverlayMTU() int {
	if u.Address.Is4() {
		return u.MTU - overheadIPv4
	}
	return u.MTU - overheadIPv6
}

// Network is what this host's devices of one overlay derive from.
type Network struct {
	Name  string // cluster-wide, for the tag
	VNI   VNI
	MTU   int        // bytes, inside the container
	Local netip.Addr // outer source address
	Port  uint16     // UDP
	// Device is the index of the underlay's device, where packets come in. Needed for steering only.
	Device   int
	Steering Mode
	// Shortcut: packets are taken past the network's devices where that can be.
	Shortcut bool
	// Allowed are addresses that all endpoints may send from besides their own, such as virtual ones. It is looked at with Shortcut only.
	Allowed []netip.Prefix
}

// Endpoint is a container's attachment on this host.
type Endpoint struct {
	ID        string
	Network   string
	VNI       VNI
	MTU       int
	MAC       MAC
	Addresses []netip.Prefix
	// Sandbox is the path of the container's network namespace once it has joined; empty before. It is what
	// a lost veth is rebuilt into.
	Sandbox string
	// Routes are the network's other subnets, reached on the link; needed for rebuilding only.
	Routes []netip.Prefix
}

// Remote is an endpoint on another host.
type Remote struct {
	MAC       MAC
	Addresses []netip.Addr
	Host      netip.Addr // outer destination
}

// Forwarding is all that a network's devices must know of endpoints and hosts.
type Forwarding struct {
	Local  map[string]Endpoint // by endpoint ID
	Remote map[string]Remote   // by endpoint ID
	Flood  []netip.Addr        // underlay addresses of the network's other hosts
}

// Change counts what a reconcile did, so that repairs can be logged and an idle one be told from a busy one.
type Change struct{ Added, Removed int }

// Add sums two counts.
func (c Change) Add(o Change) Change { return Change{c.Added + o.Added, c.Removed + o.Removed} }

// Owned is what the kernel has that carries our tag.
type Owned struct {
	Networks  []OwnedNetwork
	Endpoints []OwnedEndpoint
}

// OwnedNetwork is a bridge or a VXLAN device of ours, or both.
type OwnedNetwork struct {
	Name   string
	VNI    VNI
	Bridge string // device name, empty if missing
	VXLAN  string
}

// OwnedEndpoint is a host veth of ours.
type OwnedEndpoint struct {
	ID      string
	Network string
	Device  string
}

// BridgeDevice is the name of a network's bridge.
func BridgeDevice(vni VNI) string { return bridgeName(vni) }

// VXLANDevice is the name of a network's VXLAN device.
func VXLANDevice(vni VNI) string { return vxlanName(vni) }

// HostDevice is the name of an endpoint's veth on the host.
func HostDevice(id string) string { return hostDevice(id) }

// EndpointOfDevice is how the ID of the endpoint begins that a HostDevice is of; false for any other device.
func EndpointOfDevice(name string) (string, bool) { return strings.CutPrefix(name, hostPrefix) }

// EndpointOfContainerDevice does so for a ContainerDevice.
func EndpointOfContainerDevice(name string) (string, bool) {
	return strings.CutPrefix(name, containerPrefix)
}

// Finding is one answer of Probe.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Advice string `json:"advice,omitempty"` // what to do where it is not OK, or not as good as it could be
	// Fix does it, where that is safe for whatever else runs on the host; nil: it is for a person.
	Fix func() error `json:"-"`
}
