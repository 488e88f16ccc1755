package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// coreTable has the cores that fit: the most busy ones. Where nothing is steered, nothing is counted but load.
func (v topView) coreTable(cores []coreRates, space int, steered bool) topTable {
	t := topTable{columns: []topColumn{
		{title: "CPU", least: 5, left: true}, {title: "load", least: 4, rank: 1}, {title: "#softirq", least: barWidth, rank: 7, left: true}, {title: "sirq", least: 4, rank: 4},
		{title: "backlog", rank: 5}, {title: "drops/s", rank: 6},
		{title: "driver", group: "kpps"}, {title: "NIC", group: "kpps", least: 6}, {title: "VXLAN", group: "kpps", least: 6}, {title: "container", group: "kpps"},
		{title: "hops/s", least: 6, rank: 2}, {title: "migr/s", rank: 3},
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
	if !v.split() {
		const driver = 6 // its column
		t.columns = slices.Delete(t.columns, driver, driver+1)
		for i := range t.rows {
			t.rows[i] = slices.Delete(t.rows[i], driver, driver+1)
		}
	}
	if !steered {
		const counted = 6 // the first of the columns that programs count
		t.columns = t.columns[:counted]
		for i := range t.rows {
			t.rows[i] = t.rows[i][:counted]
		}
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
		total.now.Queue.Waiting += c.now.Queue.Waiting
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
		name, percent(c.now.Busy), bar(c.now.Busy, c.now.Softirq), percent(c.now.Softirq), strconv.Itoa(c.now.Backlog + c.now.Queue.Waiting), count(c.drops),
		kilo(c.stages[stageDriver].packets), kilo(c.stages[stageNIC].packets), kilo(c.stages[stageVXLAN].packets), kilo(c.stages[stageContainer].packets),
		count(all.hops), count(all.migrations),
	}
}

// stageTable sums each stage over the cores. What happens rarely has a column only when it happens.
func (v topView) stageTable(cores []coreRates) topTable {
	total := totalOf(cores)
	t := topTable{columns: []topColumn{{title: "stage", left: true}}, rows: [][]string{{"driver"}, {"NIC"}, {"VXLAN"}, {"container"}}}
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
	if !v.split() {
		t.rows = t.rows[stageNIC:]
	}
	return t
}
