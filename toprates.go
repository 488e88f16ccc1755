package main

import (
	"time"

	"falcon/datapath"
	"falcon/driver"
)

// topSample is one answer of the daemon.
type topSample struct {
	at     time.Time
	status driver.Status
}

// The stages of the receive path, in order.
const (
	stageDriver = iota // where frames come in, of flows whose first stage may be split
	stageNIC
	stageVXLAN
	stageContainer
	stageCount
)

// rates are counters per second.
type rates struct {
	packets, bytes, hops, inline, second, migrations, held, stale, missed float64
}

// coreRates is one CPU between two samples.
type coreRates struct {
	now    datapath.CoreStatus
	drops  float64
	stages [stageCount]rates
}

// ratesBetween gives the CPUs of the later sample. One that the earlier does not have yet has no rates.
func ratesBetween(before, after topSample) []coreRates {
	per := after.at.Sub(before.at).Seconds()
	earlier := map[int]datapath.CoreStatus{}
	for _, c := range before.status.Steering.Kernel.Cores {
		earlier[c.CPU] = c
	}
	var list []coreRates
	for _, now := range after.status.Steering.Kernel.Cores {
		c := coreRates{now: now}
		if was, ok := earlier[now.CPU]; ok && per > 0 {
			c.drops = (grown(was.Drops, now.Drops) + grown(was.Queue.Drops, now.Queue.Drops)) / per
			c.stages = [stageCount]rates{
				stageRates(was.Driver, now.Driver, per),
				stageRates(was.NIC, now.NIC, per), stageRates(was.VXLAN, now.VXLAN, per), stageRates(was.Container, now.Container, per),
			}
		}
		list = append(list, c)
	}
	return list
}

// grown is how much a counter went up. One that went back began anew: it has no rate this once.
func grown(before, after uint64) float64 {
	if after < before {
		return 0
	}
	return float64(after - before)
}

func stageRates(a, b datapath.StageCounts, per float64) rates {
	return rates{
		packets: grown(a.Packets, b.Packets) / per, bytes: grown(a.Bytes, b.Bytes) / per,
		hops: grown(a.Hops, b.Hops) / per, inline: grown(a.Inline, b.Inline) / per, second: grown(a.SecondChoices, b.SecondChoices) / per,
		migrations: grown(a.Migrations, b.Migrations) / per, held: grown(a.Held, b.Held) / per,
		stale: grown(a.Stale, b.Stale) / per, missed: grown(a.Missed, b.Missed) / per,
	}
}

func (r rates) plus(o rates) rates {
	return rates{
		r.packets + o.packets, r.bytes + o.bytes, r.hops + o.hops, r.inline + o.inline, r.second + o.second,
		r.migrations + o.migrations, r.held + o.held, r.stale + o.stale, r.missed + o.missed,
	}
}

// all sums the stages of a CPU. Packets are not to be summed so: the stages have the same ones.
func (c coreRates) all() rates {
	return c.stages[stageDriver].plus(c.stages[stageNIC]).plus(c.stages[stageVXLAN]).plus(c.stages[stageContainer])
}

// countsOf sums what the stages of all CPUs have done to packets since they were first steered.
func countsOf(cores []datapath.CoreStatus) datapath.StageCounts {
	var total datapath.StageCounts
	for _, c := range cores {
		for _, s := range []datapath.StageCounts{c.Driver, c.NIC, c.VXLAN, c.Container} {
			total.Hops += s.Hops
			total.Migrations += s.Migrations
			total.Held += s.Held
			total.Missed += s.Missed
		}
	}
	return total
}
