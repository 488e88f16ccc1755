package store

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// SchemaVersion is the version of the layout below. A store with a newer one is refused.
//
// Layout, one line per kind of key:
//
//	schema                                 {"version": 1}; the backend's own: not listed, not to be written
//	hosts/<host>                           Host      who can be a member, and where
//	alive/<host>                           host name, held by KeepAlive: tells the living from the dead
//	networks/<network>                     Network   what all members agree on
//	vnis/<vni>                             network   makes a VNI unique
//	members/<network>/<host>               Member    this host takes part: flood to it
//	endpoints/<network>/<endpoint>         Endpoint  one container's attachment
//	claims/<network>/<address or MAC>      Claim     makes addresses and MACs unique in a network
//	scopes/<scope>                         touched by every change of the scope's set of pools
//	pools/<scope>/<prefix>                 Pool
//	addresses/<scope>/<prefix>/<address>   Address
//
// <network> is the cluster-wide name: falcon.network, or Docker's network ID where none was given.
// <scope> is that name for a pool with falcon.network, or "@<host>" for the pools of one host.
const SchemaVersion = 1

// Prefixes of keys to list and watch.
const (
	SchemaKey       = "schema"
	HostsPrefix     = "hosts/"
	AlivePrefix     = "alive/"
	NetworksPrefix  = "networks/"
	VNIsPrefix      = "vnis/"
	MembersPrefix   = "members/"
	EndpointsPrefix = "endpoints/"
	ClaimsPrefix    = "claims/"
	ScopesPrefix    = "scopes/"
	PoolsPrefix     = "pools/"
	AddressesPrefix = "addresses/"
)

// HostKey is the key of a Host.
func HostKey(host string) string { return HostsPrefix + host }

// AliveKey is the key that a host holds with KeepAlive.
func AliveKey(host string) string { return AlivePrefix + host }

// NetworkKey is the key of a Network.
func NetworkKey(network string) string { return NetworksPrefix + network }

// VNIKey is the key that makes a VNI unique; its value is a VNIOwner.
func VNIKey(vni uint32) string { return fmt.Sprintf("%s%d", VNIsPrefix, vni) }

// MemberKey is the key of a Member.
func MemberKey(network, host string) string { return MembersPrefix + network + "/" + host }

// EndpointKey is the key of an Endpoint.
func EndpointKey(network, endpoint string) string {
	return EndpointsPrefix + network + "/" + endpoint
}

// AddressClaimKey is the key of the Claim on an address inside a network.
func AddressClaimKey(network string, address netip.Addr) string {
	return ClaimsPrefix + network + "/" + address.String()
}

// MACClaimKey is the key of the Claim on a MAC inside a network.
func MACClaimKey(network, mac string) string {
	return ClaimsPrefix + network + "/" + strings.ToLower(mac)
}

// ScopeKey is the key that guards the set of pools of a scope.
func ScopeKey(scope string) string { return ScopesPrefix + scope }

// PoolKey is the key of a Pool.
func PoolKey(scope string, prefix netip.Prefix) string {
	return PoolsPrefix + scope + "/" + prefix.String()
}

// AddressKey is the key of an Address.
func AddressKey(scope string, prefix netip.Prefix, address netip.Addr) string {
	return AddressesPrefix + scope + "/" + prefix.String() + "/" + address.String()
}

// Host is a machine that runs falcon.
type Host struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Underlay netip.Addr `json:"underlay"` // where its VXLAN packets come from and go to
	Port     uint16     `json:"port"`     // UDP port of its VXLAN devices
	Version  string     `json:"version"`
}

// Network is what all members of an overlay agree on.
type Network struct {
	Name     string         `json:"name"`
	VNI      uint32         `json:"vni"`
	MTU      int            `json:"mtu"` // bytes, inside the container
	Subnets  []netip.Prefix `json:"subnets"`
	Internal bool           `json:"internal,omitempty"`
}

// VNIOwner is the value of a VNI's key.
type VNIOwner struct {
	Network string `json:"network"`
}

// Member is a host's part in a network: the Docker network that stands for it there.
type Member struct {
	Network  string `json:"network"`
	Host     string `json:"host"`
	DockerID string `json:"docker_id"`
	Steering string `json:"steering,omitempty"` // falcon.steering of this host's Docker network
	Shortcut string `json:"shortcut,omitempty"` // falcon.shortcut
	// Allowed is falcon.allowed-addresses.
	Allowed []netip.Prefix `json:"allowed,omitempty"`
	Created time.Time      `json:"created"`
}

// Endpoint is one container's attachment to a network.
type Endpoint struct {
	ID        string         `json:"id"`
	Network   string         `json:"network"`
	Host      string         `json:"host"`
	MAC       string         `json:"mac"`
	Addresses []netip.Prefix `json:"addresses"` // with the length of their subnet
	Sandbox   string         `json:"sandbox,omitempty"`
	Created   time.Time      `json:"created"`
}

// Claim says which endpoint holds an address or a MAC.
type Claim struct {
	Endpoint string `json:"endpoint"`
	Host     string `json:"host"`
}

// Pool is a subnet from which addresses are given. Hosts that share it share its addresses.
type Pool struct {
	Scope   string       `json:"scope"`
	Prefix  netip.Prefix `json:"prefix"`
	Hosts   []string     `json:"hosts"`             // that requested it and did not release it
	Bound   []string     `json:"bound,omitempty"`   // of these, with a falcon network on it
	Network string       `json:"network,omitempty"` // of that falcon network, whose claims tell what is in use
	Created time.Time    `json:"created"`
}

// Kinds of Address.
const (
	KindEndpoint  = "endpoint"
	KindGateway   = "gateway"   // shared by all hosts of the pool
	KindAuxiliary = "auxiliary" // --aux-address: shared likewise
)

// Address is an address in use. An endpoint's has one host; gateways and auxiliary ones are shared.
type Address struct {
	Kind    string    `json:"kind"`
	Hosts   []string  `json:"hosts"`
	Created time.Time `json:"created"`
}

// Encode turns a record's value into bytes. The types above cannot fail to encode.
func Encode(value any) []byte {
	b, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err))
	}
	return b
}

// Decode turns a record into its value. An error matches ErrCorrupt and names the key. Fields that are
// unknown are ignored: a later release of the same schema version may add some.
func Decode[T any](r Record) (T, error) {
	var value T
	if err := json.Unmarshal(r.Value, &value); err != nil {
		return value, fmt.Errorf("decode %s: %w: %v", r.Key, ErrCorrupt, err)
	}
	return value, nil
}
