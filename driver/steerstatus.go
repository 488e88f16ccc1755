package driver

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"falcon/datapath"
	"falcon/store"
)

// SteeringStatus is how the daemon was told to treat packets, and what comes of it.
type SteeringStatus struct {
	Mode       string                  `json:"mode"`                 // of networks whose options do not say
	Experiment string                  `json:"experiment,omitempty"` // the mode that is tried on all networks, if one is
	Shortcut   string                  `json:"shortcut"`
	Split      string                  `json:"split"`
	TrySplit   string                  `json:"experiment_split,omitempty"` // as Experiment, for splitting
	Kernel     datapath.SteeringStatus `json:"kernel"`                     // its flows are in Flows
	Flows      []FlowPlace             `json:"flows"`                      // those with most packets
}

// FlowPlace is a bucket of flows to a container, and where its packets are processed.
type FlowPlace struct {
	Bucket    int          `json:"bucket"`
	Network   string       `json:"network"` // empty if the endpoint is not known any more
	VNI       datapath.VNI `json:"vni"`
	Endpoint  string       `json:"endpoint,omitempty"`
	MAC       string       `json:"mac"`
	Address   netip.Addr   `json:"address,omitzero"`
	Protocol  string       `json:"protocol"`
	Port      uint16       `json:"port"` // of the container's side
	Packets   float64      `json:"packets_per_second"`
	Bytes     float64      `json:"bytes_per_second"`
	Sent      uint32       `json:"sent"`       // packets so far, modulo 2^32
	Volume    uint64       `json:"volume"`     // bytes so far
	Driver    int          `json:"driver_cpu"` // where frames come in
	NIC       int          `json:"nic_cpu"`    // the same, unless the first stage is split
	VXLAN     int          `json:"vxlan_cpu"`
	Container int          `json:"container_cpu"`
	Held      uint64       `json:"held"`
}

func (d *Driver) steeringStatus(ctx context.Context) SteeringStatus {
	kernel := d.cfg.Datapath.SteeringStatus(ctx)
	s := SteeringStatus{
		Mode:       string(cmp.Or(d.cfg.Steering, datapath.Off)),
		Experiment: string(d.reconciler.modes.experiment.current()), TrySplit: d.reconciler.modes.experiment.currentSplit(),
		Shortcut: d.cfg.Shortcut, Split: d.cfg.Split,
		Kernel: kernel, Flows: d.flowPlaces(kernel.Flows),
	}
	s.Kernel.Flows = nil
	return s
}

// problemsNamed is how many parts that suffer from the same are named.
const problemsNamed = 3

// problemsOf lists what does not work about a subject, and which parts suffer from it.
func problemsOf(subject string, problems map[string]string) []Degraded {
	suffer := map[string][]string{}
	for _, what := range slices.Sorted(maps.Keys(problems)) {
		why := problems[what]
		suffer[why] = append(suffer[why], what)
	}
	var list []Degraded
	for why, parts := range suffer {
		more := ""
		if n := len(parts) - problemsNamed; n > 0 {
			parts, more = parts[:problemsNamed], fmt.Sprintf(" and %d more", n)
		}
		list = append(list, Degraded{What: subject + ": " + strings.Join(parts, ", ") + more, Why: why})
	}
	slices.SortFunc(list, func(a, b Degraded) int { return strings.Compare(a.What, b.What) })
	return list
}

// doorplate is what the kernel knows a container by.
type doorplate struct {
	vni datapath.VNI
	mac string
}

// flowPlaces finds out whom flows are for.
func (d *Driver) flowPlaces(flows []datapath.FlowStatus) []FlowPlace {
	places := make([]FlowPlace, 0, len(flows))
	if len(flows) == 0 {
		return places
	}
	endpoints := d.doorplates()
	for _, f := range flows {
		p := placeOf(f)
		if e, ok := endpoints[doorplate{f.VNI, f.MAC}]; ok {
			p.Network, p.Endpoint = e.Network, e.ID
			if len(e.Addresses) > 0 {
				p.Address = e.Addresses[0].Addr()
			}
		}
		places = append(places, p)
	}
	return places
}

// doorplates are those of this host's endpoints.
func (d *Driver) doorplates() map[doorplate]store.Endpoint {
	found := map[doorplate]store.Endpoint{}
	for _, e := range d.view.locals(d.host, "") {
		if n, ok := d.view.network(e.Network); ok {
			found[doorplate{datapath.VNI(n.VNI), e.MAC}] = e
		}
	}
	return found
}

// placeOf says on which CPU each stage runs: without a hop, on that of the stage before.
func placeOf(f datapath.FlowStatus) FlowPlace {
	p := FlowPlace{
		Bucket: f.Bucket, VNI: f.VNI, MAC: f.MAC, Protocol: datapath.ProtocolName(f.Protocol), Port: f.Port,
		Packets: f.Packets, Bytes: f.Bytes, Sent: f.Sent, Volume: f.Volume, Driver: f.Driver, NIC: f.NIC, VXLAN: f.VXLAN, Container: f.Container, Held: f.Held,
	}
	if p.VXLAN < 0 {
		p.VXLAN = p.NIC
	}
	if p.Container < 0 {
		p.Container = p.VXLAN
	}
	return p
}
