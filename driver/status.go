package driver

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"falcon/datapath"
	"falcon/store"
)

// Status is what `falcon status --json` prints: the API's answer, and part of the contract with scripts.
type Status struct {
	Version  string          `json:"version"`
	Host     HostStatus      `json:"host"`
	Store    store.Status    `json:"store"`
	Steering SteeringStatus  `json:"steering"`
	Networks []NetworkStatus `json:"networks"`
	// Strays are VXLAN packets that hid their network, by what became of them; they are looked at while a network is on the shortcut.
	Strays   map[string]datapath.WayCount `json:"strays,omitempty"`
	Peers    []PeerStatus                 `json:"peers"`
	Degraded []Degraded                   `json:"degraded"`
	Ready    bool                         `json:"ready"` // the store was read and the kernel follows it
}

// HostStatus is this host.
type HostStatus struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Underlay datapath.Underlay `json:"underlay"`
	Port     uint16            `json:"vxlan_port"`
}

// NetworkStatus is one network that this host is a member of.
type NetworkStatus struct {
	Name      string           `json:"name"`
	DockerID  string           `json:"docker_id"`
	VNI       uint32           `json:"vni"`
	MTU       int              `json:"mtu"`
	Subnets   []netip.Prefix   `json:"subnets"`
	Internal  bool             `json:"internal"`
	Steering  string           `json:"steering"` // the mode in force
	Shortcut  ShortcutStatus   `json:"shortcut"`
	Bridge    string           `json:"bridge"`
	VXLAN     string           `json:"vxlan"`
	Hosts     []string         `json:"hosts"` // names of all members, this host included
	Endpoints []EndpointStatus `json:"endpoints"`
	Remote    int              `json:"remote_endpoints"`
}

// ShortcutStatus is how a network is to be on the shortcut, and what comes of it.
type ShortcutStatus struct {
	Mode string `json:"mode"` // on or off
	datapath.ShortcutNetwork
}

// EndpointStatus is a container's attachment on this host.
type EndpointStatus struct {
	ID        string         `json:"id"`
	MAC       string         `json:"mac"`
	Addresses []netip.Prefix `json:"addresses"`
	Device    string         `json:"device"`
	Joined    bool           `json:"joined"`
}

// PeerStatus is another host with which this one shares networks.
type PeerStatus struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Underlay netip.Addr `json:"underlay"`
	Alive    bool       `json:"alive"` // its falcon answers; its containers may well be reachable when it does not
	Networks int        `json:"networks"`
}

// Status describes this host at this moment.
func (d *Driver) Status(ctx context.Context) Status {
	s := Status{
		Version:  d.cfg.Version,
		Host:     HostStatus{ID: d.host, Name: d.cfg.HostName, Underlay: d.underlay.current(), Port: d.cfg.Port},
		Store:    d.store.Status(ctx),
		Steering: d.steeringStatus(ctx),
		Networks: []NetworkStatus{},
		Peers:    d.view.peers(d.host),
		Degraded: d.trouble.list(),
		Ready:    d.isReady(),
	}
	short := d.cfg.Datapath.ShortcutStatus(ctx)
	s.Strays = short.Unknown
	for _, m := range d.view.memberships(d.host) {
		if scene, ok := d.view.scene(m.Network); ok {
			n := d.networkStatus(m, scene)
			n.Shortcut.ShortcutNetwork = short.Networks[datapath.VNI(n.VNI)]
			s.Networks = append(s.Networks, n)
		}
	}
	if s.Store.Error != "" {
		s.Degraded = append(s.Degraded, Degraded{What: "store", Why: s.Store.Error})
	}
	s.Degraded = append(s.Degraded, problemsOf("steering", s.Steering.Kernel.Problems)...)
	s.Degraded = append(s.Degraded, problemsOf("shortcut", short.Problems)...)
	if s.Peers == nil {
		s.Peers = []PeerStatus{}
	}
	return s
}

func (d *Driver) networkStatus(m store.Member, s scene) NetworkStatus {
	vni := datapath.VNI(s.network.VNI)
	n := NetworkStatus{
		Name: s.network.Name, DockerID: m.DockerID, VNI: s.network.VNI, MTU: s.network.MTU,
		Subnets: s.network.Subnets, Internal: s.network.Internal,
		Steering: string(d.reconciler.modes.of(s.network.Name)),
		Bridge:   datapath.BridgeDevice(vni), VXLAN: datapath.VXLANDevice(vni),
		Endpoints: []EndpointStatus{},
	}
	n.Shortcut.Mode = ShortcutOff
	if d.reconciler.modes.shortcutOf(s.network.Name) {
		n.Shortcut.Mode = ShortcutOn
	}
	for id := range s.members {
		n.Hosts = append(n.Hosts, s.hosts[id].Name)
	}
	slices.Sort(n.Hosts)
	for _, e := range s.endpoints {
		if e.Host != d.host {
			n.Remote++
			continue
		}
		n.Endpoints = append(n.Endpoints, EndpointStatus{
			ID: e.ID, MAC: e.MAC, Addresses: e.Addresses, Device: datapath.HostDevice(e.ID), Joined: e.Sandbox != "",
		})
	}
	slices.SortFunc(n.Endpoints, func(a, b EndpointStatus) int { return strings.Compare(a.ID, b.ID) })
	return n
}

// StatusPath is where the API answers with a Status.
const StatusPath = "/v1/status"

// NewAPI is the handler of the local API, for the other commands of this host.
func NewAPI(d *Driver) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StatusPath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, d.Status(r.Context()))
	})
	mux.HandleFunc("PUT "+SteeringPath, d.putSteering)
	d.traceAPI(mux)
	return mux
}
