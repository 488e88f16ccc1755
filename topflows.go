package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"falcon/driver"
)

// flowGroup is flows to one port of one container whose stages run on the same CPUs.
type flowGroup struct {
	to             driver.FlowPlace // one of them
	name           string
	flows          int
	packets, bytes float64 // per second
}

// groupFlows gives the groups, those with most packets first.
func groupFlows(before, after topSample) []flowGroup {
	type key struct {
		name, network                  string
		driver, nic, vxlan, containers int
	}
	was := map[int]driver.FlowPlace{}
	for _, f := range before.status.Steering.Flows {
		was[f.Bucket] = f
	}
	groups := map[key]*flowGroup{}
	for _, f := range after.status.Steering.Flows {
		k := key{flowName(f), networkName(f), f.Driver, f.NIC, f.VXLAN, f.Container}
		g := groups[k]
		if g == nil {
			g = &flowGroup{to: f, name: k.name}
			groups[k] = g
		}
		packets, bytes := flowRates(was, f, after.at.Sub(before.at).Seconds())
		g.flows, g.packets, g.bytes = g.flows+1, g.packets+packets, g.bytes+bytes
	}
	var list []flowGroup
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b flowGroup) int { return cmp.Or(cmp.Compare(b.packets, a.packets), inPlace(a, b)) })
	return list
}

// flowRates are those between two samples. A flow that the earlier does not have, or whose counters began anew, has none this
// once; the daemon's own rates are of an instant, and of all flows together would be more than there is.
func flowRates(was map[int]driver.FlowPlace, f driver.FlowPlace, per float64) (packets, bytes float64) {
	b, ok := was[f.Bucket]
	if !ok || per <= 0 || f.Volume < b.Volume {
		return 0, 0
	}
	return float64(f.Sent-b.Sent) / per, float64(f.Volume-b.Volume) / per
}

// inPlace is an order that does not change with the load.
func inPlace(a, b flowGroup) int {
	return cmp.Or(cmp.Compare(networkName(a.to), networkName(b.to)), a.to.Address.Compare(b.to.Address), cmp.Compare(a.name, b.name),
		cmp.Compare(a.to.Driver, b.to.Driver), cmp.Compare(a.to.NIC, b.to.NIC), cmp.Compare(a.to.VXLAN, b.to.VXLAN), cmp.Compare(a.to.Container, b.to.Container))
}

func networkName(f driver.FlowPlace) string { return cmp.Or(f.Network, fmt.Sprintf("VNI %d", f.VNI)) }

// flowTable has the groups that fit: those with most packets, where they were before.
func (v topView) flowTable(groups []flowGroup, space int) topTable {
	t := topTable{columns: []topColumn{
		{title: "flows to", left: true}, {title: "network", left: true, rank: 3}, {title: "flows", rank: 2}, {title: "kpps", least: 6, rank: 1},
		{title: "Mbit/s", least: 6, rank: 4}, {title: "NIC > VXLAN > container", left: true},
	}}
	split := v.split()
	if split {
		t.columns[len(t.columns)-1].title = "driver > NIC > VXLAN > container"
	}
	short := v.width > 0 && v.width < narrowPlace
	if short {
		t.columns[len(t.columns)-1].title = "CPUs"
	}
	shown := slices.Clone(groups[:min(len(groups), space)])
	slices.SortFunc(shown, inPlace)
	for _, g := range shown {
		t.rows = append(t.rows, []string{
			g.name, networkName(g.to), strconv.Itoa(g.flows), kilo(g.packets), megabit(g.bytes), flowPlace(g.to, short, split),
		})
	}
	return t
}

// narrowPlace is the width from which there is room to write out where a flow's stages run.
const narrowPlace = 60

// flowName says whom a flow is for.
func flowName(f driver.FlowPlace) string {
	name := f.MAC
	if f.Address.IsValid() {
		name = f.Address.String()
	}
	switch {
	case f.Port == 0:
		return name + "/" + f.Protocol
	case f.Address.IsValid():
		return netip.AddrPortFrom(f.Address, f.Port).String() + "/" + f.Protocol
	}
	return fmt.Sprintf("%s port %d/%s", name, f.Port, f.Protocol)
}

// flowPlace says on which CPUs the stages of a flow run.
func flowPlace(f driver.FlowPlace, short, split bool) string {
	cpu, between := "cpu", " > "
	if short {
		cpu, between = "", ">"
	}
	places := []int{f.Driver, f.NIC, f.VXLAN, f.Container}
	if !split {
		places = places[1:]
	}
	names := make([]string, len(places))
	for i, place := range places {
		names[i] = cpu + strconv.Itoa(place)
	}
	return strings.Join(names, between)
}
