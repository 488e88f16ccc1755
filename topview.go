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

// topView is all that `falcon top` shows at a moment.
type topView struct {
	before, after topSample
	width, height int    // of the window; 0: no limit
	note          string // what happened last
	keys          bool   // somebody can press them
}

const topKeys = "try on this host: o off  s static  d dynamic  r as configured  q quit"

// narrowPlace is the width from which there is room to write out where a flow's stages run.
const narrowPlace = 60

// lines are what the window shows: what is set, what comes of it, cores, stages, flows; what has no room is left out.
func (v topView) lines() []string {
	var foot []string
	if v.note != "" {
		foot = append(foot, wrap(strings.Fields(v.note), " ", v.width)...)
	}
	if v.keys {
		foot = append(foot, wrap(strings.Split(topKeys, "  "), "  ", v.width)...)
	}
	lines := append(v.head(), v.body(v.height-len(v.head())-len(foot))...)
	if room := max(v.height-len(foot), 0); v.height > 0 && len(lines) > room {
		lines = lines[:room]
	}
	lines = append(lines, foot...)
	if v.height > 0 && len(lines) > v.height {
		lines = lines[len(lines)-v.height:]
	}
	for i, line := range lines {
		lines[i] = cut(line, v.width)
	}
	return lines
}

// head says what is set, and what the balancer does and why.
func (v topView) head() []string {
	s := v.after.status
	k := s.Steering.Kernel
	parts := []string{"falcon top", s.Host.Name, v.after.at.Format("15:04:05"), "steering " + steeringLabel(s), "shortcut " + s.Steering.Shortcut, "split " + s.Steering.Split}
	if k.CPUs != "" {
		parts = append(parts, "CPUs "+k.CPUs, "hooks "+k.Hooks)
	}
	lines := append(wrap(parts, "  ", v.width), wrap(strings.Fields(k.Reason), " ", v.width)...)
	return append(lines, v.troubles()...)
}

// steeringLabel says how packets are steered, and where it is not what the daemon is set to.
func steeringLabel(s driver.Status) string {
	if e := s.Steering.Experiment; e != "" {
		return fmt.Sprintf("%s (EXPERIMENT, configured: %s)", e, s.Steering.Mode)
	}
	apart := 0
	for _, n := range s.Networks {
		if n.Steering != s.Steering.Mode {
			apart++
		}
	}
	if apart == 0 {
		return s.Steering.Mode
	}
	return fmt.Sprintf("%s (%d of %d networks differ)", s.Steering.Mode, apart, len(s.Networks))
}

// troubles shows the first thing that is wrong with steering.
func (v topView) troubles() []string {
	var lines []string
	for _, g := range v.after.status.Degraded {
		if strings.HasPrefix(g.What, "steering: ") {
			lines = append(lines, "DEGRADED "+g.What+": "+g.Why)
		}
	}
	if n := len(lines); n > 1 {
		return []string{lines[0], fmt.Sprintf("and %d more: falcon status", n-1)}
	}
	return lines
}

// body shows the tables in the given number of lines. Cores and flows share what the rest leaves.
func (v topView) body(room int) []string {
	cores := ratesBetween(v.before, v.after)
	if len(cores) == 0 {
		return wrap(strings.Fields("Nothing is counted as long as no network is steered."), " ", v.width)
	}
	stages := v.stageTable(cores).lines(v.width)
	flows := v.flowTable(v.after.status.Steering.Flows)
	space := len(cores)
	if v.height > 0 {
		fixed := 2 + len(stages) + 1 + min(len(flows.rows), 3) // titles and total; the most busy flows
		space = max(room-fixed, 1)
	}
	lines := append(v.coreTable(cores, space).lines(v.width), stages...)
	if len(flows.rows) > 0 {
		lines = append(lines, flows.lines(v.width)...)
	}
	return lines
}

// coreTable has the cores that fit: the most busy ones.
func (v topView) coreTable(cores []coreRates, space int) topTable {
	t := topTable{columns: []topColumn{
		{title: "CPU", least: 5, left: true}, {title: "load", rank: 1}, {least: barWidth, rank: 7, left: true}, {title: "sirq", rank: 4},
		{title: "queue", rank: 5}, {title: "drops/s", rank: 6}, {title: "kpps: NIC"}, {title: "VXLAN", least: 6}, {title: "container"},
		{title: "hops/s", rank: 2}, {title: "migr/s", rank: 3},
	}}
	shown, left := busiest(cores, space)
	for _, c := range shown {
		t.rows = append(t.rows, coreRow(strconv.Itoa(c.now.CPU), c))
	}
	if len(cores) > 1 {
		name := "total"
		if left > 0 {
			name = fmt.Sprintf("all %d", len(cores))
		}
		t.rows = append(t.rows, coreRow(name, totalOf(cores)))
	}
	return t
}

// busiest gives so many of the cores, in order of number, and how many are left out.
func busiest(cores []coreRates, space int) ([]coreRates, int) {
	if len(cores) <= space {
		return cores, 0
	}
	list := slices.Clone(cores)
	slices.SortStableFunc(list, func(a, b coreRates) int { return cmp.Compare(b.now.Busy, a.now.Busy) })
	list = list[:space]
	slices.SortFunc(list, func(a, b coreRates) int { return cmp.Compare(a.now.CPU, b.now.CPU) })
	return list, len(cores) - space
}

// totalOf sums cores; shares of time are their mean.
func totalOf(cores []coreRates) coreRates {
	var total coreRates
	for _, c := range cores {
		total.now.Busy += c.now.Busy / float64(len(cores))
		total.now.Softirq += c.now.Softirq / float64(len(cores))
		total.now.Backlog += c.now.Backlog
		total.drops += c.drops
		for i, s := range c.stages {
			total.stages[i] = total.stages[i].plus(s)
		}
	}
	return total
}

func coreRow(name string, c coreRates) []string {
	all := c.all()
	return []string{
		name, percent(c.now.Busy), bar(c.now.Busy), percent(c.now.Softirq), strconv.Itoa(c.now.Backlog), count(c.drops),
		kilo(c.stages[stageNIC].packets), kilo(c.stages[stageVXLAN].packets), kilo(c.stages[stageContainer].packets),
		count(all.hops), count(all.migrations),
	}
}

// stageTable sums each stage over the cores. What happens rarely has a column only when it happens.
func (v topView) stageTable(cores []coreRates) topTable {
	total := totalOf(cores)
	t := topTable{columns: []topColumn{{title: "stage", left: true}}, rows: [][]string{{"NIC"}, {"VXLAN"}, {"container"}}}
	for _, c := range []struct {
		title  string
		rarely bool
		rank   int
		value  func(rates) float64
		format func(float64) string
	}{
		{"kpps", false, 0, func(r rates) float64 { return r.packets }, kilo},
		{"Mbit/s", false, 3, func(r rates) float64 { return r.bytes }, megabit},
		{"hops/s", false, 1, func(r rates) float64 { return r.hops }, count},
		{"inline/s", false, 4, func(r rates) float64 { return r.inline }, count},
		{"migr/s", false, 2, func(r rates) float64 { return r.migrations }, count},
		{"2nd/s", true, 7, func(r rates) float64 { return r.second }, count},
		{"held/s", true, 5, func(r rates) float64 { return r.held }, count},
		{"stale/s", true, 6, func(r rates) float64 { return r.stale }, count},
		{"missed/s", true, 8, func(r rates) float64 { return r.missed }, count},
	} {
		if c.rarely && c.value(total.all()) == 0 {
			continue
		}
		t.columns = append(t.columns, topColumn{title: c.title, least: 6, rank: c.rank})
		for i := range t.rows {
			t.rows[i] = append(t.rows[i], c.format(c.value(total.stages[i])))
		}
	}
	return t
}

// flowTable has the flows with most packets first, as the daemon gives them.
func (v topView) flowTable(flows []driver.FlowPlace) topTable {
	t := topTable{columns: []topColumn{
		{title: "flow", left: true}, {title: "network", left: true, rank: 2}, {title: "kpps", least: 6, rank: 1}, {title: "Mbit/s", least: 6, rank: 3},
		{title: "NIC > VXLAN > container", left: true},
	}}
	short := v.width > 0 && v.width < narrowPlace
	if short {
		t.columns[len(t.columns)-1].title = "CPUs"
	}
	for _, f := range flows {
		t.rows = append(t.rows, []string{
			flowName(f), cmp.Or(f.Network, fmt.Sprintf("VNI %d", f.VNI)), kilo(f.Packets), megabit(f.Bytes), flowPlace(f, short),
		})
	}
	return t
}

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
func flowPlace(f driver.FlowPlace, short bool) string {
	if short {
		return fmt.Sprintf("%d>%d>%d", f.NIC, f.VXLAN, f.Container)
	}
	return fmt.Sprintf("cpu%d > cpu%d > cpu%d", f.NIC, f.VXLAN, f.Container)
}
