package recovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"falcon/datapath"
	"falcon/store"
	"falcon/tests/lab"
)

// intent is what the lab's etcd says, read without any falcon's help.
type intent struct {
	hosts     map[string]store.Host // by ID
	networks  map[string]store.Network
	members   []store.Member
	endpoints []store.Endpoint
}

func (o overlay) intent() (intent, error) {
	in := intent{hosts: map[string]store.Host{}, networks: map[string]store.Network{}}
	records, err := o.StoreRecords(o.ctx, "")
	if err != nil {
		return in, err
	}
	var errs []error
	for key, value := range records {
		r := store.Record{Key: key, Value: value}
		var err error
		switch kind, _, _ := strings.Cut(key, "/"); kind + "/" {
		case store.HostsPrefix:
			var h store.Host
			h, err = store.Decode[store.Host](r)
			in.hosts[h.ID] = h
		case store.NetworksPrefix:
			var n store.Network
			n, err = store.Decode[store.Network](r)
			in.networks[n.Name] = n
		case store.MembersPrefix:
			var m store.Member
			m, err = store.Decode[store.Member](r)
			in.members = append(in.members, m)
		case store.EndpointsPrefix:
			var e store.Endpoint
			e, err = store.Decode[store.Endpoint](r)
			in.endpoints = append(in.endpoints, e)
		}
		errs = append(errs, err)
	}
	return in, errors.Join(errs...)
}

// idOf finds a host by its name.
func (in intent) idOf(name string) string {
	for id, h := range in.hosts {
		if h.Name == name {
			return id
		}
	}
	return ""
}

// kernelOf derives the names of devices, the entries and the guards that a host should have, as kernel lists them.
func (in intent) kernelOf(host string) []string {
	var lines []string
	for _, m := range in.members {
		if m.Host != host {
			continue
		}
		vni := datapath.VNI(in.networks[m.Network].VNI)
		lines = append(lines,
			"link "+datapath.BridgeDevice(vni), "link "+datapath.VXLANDevice(vni),
			fmt.Sprintf("guard %s falcon_guard", datapath.BridgeDevice(vni)))
		for _, other := range in.members {
			if other.Network == m.Network && other.Host != host {
				lines = append(lines, fdbLine("00:00:00:00:00:00", datapath.VXLANDevice(vni), "", in.hosts[other.Host].Underlay.String()))
			}
		}
		for _, e := range in.endpoints {
			if e.Network == m.Network {
				lines = append(lines, in.endpointOn(host, e, vni)...)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func (in intent) endpointOn(host string, e store.Endpoint, vni datapath.VNI) []string {
	bridge, vxlan, port := datapath.BridgeDevice(vni), datapath.VXLANDevice(vni), datapath.HostDevice(e.ID)
	var lines []string
	if e.Host == host {
		lines = append(lines, "link "+port, fdbLine(e.MAC, port, bridge, ""))
	} else {
		lines = append(lines, fdbLine(e.MAC, vxlan, bridge, ""), fdbLine(e.MAC, vxlan, "", in.hosts[e.Host].Underlay.String()))
	}
	for _, a := range e.Addresses {
		lines = append(lines, fmt.Sprintf("neighbour %s %s %s", a.Addr(), e.MAC, bridge))
	}
	return lines
}

// kernelFollows compares a host's kernel with the store: devices by name alone, of the rest everything.
func (o overlay) kernelFollows(h *lab.Host) error {
	in, err := o.intent()
	if err != nil {
		return err
	}
	have, err := o.kernel(h)
	if err != nil {
		return err
	}
	for i, line := range have {
		if fields := strings.Fields(line); fields[0] == "link" {
			have[i] = strings.Join(fields[:2], " ")
		}
	}
	if err := sameLines(have, in.kernelOf(in.idOf(h.Name))); err != nil {
		return fmt.Errorf("kernel of %s does not follow the store: %w", h.Name, err)
	}
	return nil
}

// settles waits until the kernels of all hosts follow the store.
func (o overlay) settles(within time.Duration) {
	o.t.Helper()
	for _, h := range o.Hosts {
		o.eventually(within, func() error { return o.kernelFollows(h) })
	}
}

// addresses lists the IPv4 addresses of all endpoints in the store, as "network address", in order.
func (in intent) addresses() []string {
	var lines []string
	for _, e := range in.endpoints {
		for _, a := range e.Addresses {
			if a.Addr().Is4() {
				lines = append(lines, e.Network+" "+a.Addr().String())
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// nothingLeft wants neither devices nor keys of any network, on any host.
func (o overlay) nothingLeft(within time.Duration) {
	o.t.Helper()
	for _, h := range o.Hosts {
		o.awaitKernel(h, nil, within)
	}
	o.eventually(within, func() error {
		records, err := o.StoreRecords(o.ctx, "")
		var left []string
		for key := range records {
			kind, _, _ := strings.Cut(key, "/")
			if !slices.Contains([]string{store.SchemaKey + "/", store.HostsPrefix, store.AlivePrefix}, kind+"/") {
				left = append(left, key)
			}
		}
		if len(left) > 0 {
			slices.Sort(left)
			return fmt.Errorf("left in the store: %v", left)
		}
		return err
	})
}
