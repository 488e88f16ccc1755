package datapath

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"falcon/datapath/balance"
)

// SteeringStatus is what steering does on this host at the moment. Counters grow from when the first network was steered.
type SteeringStatus struct {
	CPUs     string            `json:"cpus,omitempty"`  // that packets are steered to
	Hooks    string            `json:"hooks,omitempty"` // how the programs are attached: tcx or clsact
	Reason   string            `json:"reason"`          // what the balancer does and why, in one line
	Off      bool              `json:"off"`             // it has found that hops would win nothing
	Interval time.Duration     `json:"interval_ns,omitempty"`
	Split    *SplitStatus      `json:"split,omitempty"` // nil: nothing can be split at the moment
	Cores    []CoreStatus      `json:"cores,omitempty"` // while nothing is steered: what they did since the status before
	Flows    []FlowStatus      `json:"flows,omitempty"`
	Problems map[string]string `json:"-"`
}

// SplitStatus says where frames are taken from, and how they get to the core that makes packets of them.
type SplitStatus struct {
	Device string `json:"device"`
	Queue  int    `json:"queue"` // frames that can wait for a core
	CPUs   string `json:"cpus"`  // that have a thread which takes them
}

// CoreStatus is one online CPU.
type CoreStatus struct {
	CPU       int         `json:"cpu"`
	Steerable bool        `json:"steerable"`
	Busy      float64     `json:"busy"`    // share 0 to 1 of the last 100 ms
	Softirq   float64     `json:"softirq"` // share 0 to 1, part of it
	Backlog   int         `json:"backlog"` // packets that wait now
	Drops     uint64      `json:"drops"`   // packets for which the backlog had no room, since boot
	Queue     QueueStatus `json:"split_queue"`
	Driver    StageCounts `json:"driver"` // of flows that may be split
	NIC       StageCounts `json:"nic"`
	VXLAN     StageCounts `json:"vxlan"`
	Container StageCounts `json:"container"`
}

// QueueStatus is of the frames that other cores leave to this one.
type QueueStatus struct {
	Taken   uint64 `json:"taken"`
	Waiting int    `json:"waiting"`
	Drops   uint64 `json:"drops"` // frames that found it full, or no memory
}

// StageCounts is what a stage did on a core.
type StageCounts struct {
	Packets       uint64 `json:"packets"`
	Bytes         uint64 `json:"bytes"`
	Skbs          uint64 `json:"skbs"`           // fewer than packets where GRO has merged some
	Hops          uint64 `json:"hops"`           // skbs sent on to another core
	Inline        uint64 `json:"inline"`         // skbs that stayed
	SecondChoices uint64 `json:"second_choices"` // hops to another core than the balancer would have liked best
	Migrations    uint64 `json:"migrations"`     // flows that went to other cores
	Held          uint64 `json:"held"`           // skbs whose flow was to migrate and could not yet, for the sake of order
	Stale         uint64 `json:"stale"`          // skbs that stayed because the balancer was silent
	Relays        uint64 `json:"relays"`         // skbs handed on, before the stage began, to the core where their flow is to go
	Missed        uint64 `json:"missed"`         // skbs that belong to no flow: fragments of outer packets, groups, not IP
}

// FlowStatus is a bucket of flows.
type FlowStatus struct {
	Bucket    int     `json:"bucket"`
	VNI       VNI     `json:"vni"`
	MAC       string  `json:"mac"` // of the container
	Protocol  uint8   `json:"protocol"`
	Port      uint16  `json:"port"`               // of the container's side
	Packets   float64 `json:"packets_per_second"` // in its last 10 ms with any
	Bytes     float64 `json:"bytes_per_second"`
	Sent      uint32  `json:"sent"`          // packets so far, modulo 2^32
	Volume    uint64  `json:"volume"`        // bytes so far
	Driver    int     `json:"driver_cpu"`    // where frames come in
	NIC       int     `json:"nic_cpu"`       // the same, unless the first stage is split
	VXLAN     int     `json:"vxlan_cpu"`     // -1: where the NIC's stage runs
	Container int     `json:"container_cpu"` // -1: where the vxlan device's stage runs
	Held      uint64  `json:"held"`
}

// flowsShown bounds a status: those with most packets.
const flowsShown = 64

func stageCounts(c *steerStageCounts) StageCounts {
	return StageCounts{
		Packets: atomic.LoadUint64(&c.Packets), Bytes: atomic.LoadUint64(&c.Bytes), Skbs: atomic.LoadUint64(&c.Skbs),
		Hops: atomic.LoadUint64(&c.Hops), Inline: atomic.LoadUint64(&c.Inlined), SecondChoices: atomic.LoadUint64(&c.Second),
		Migrations: atomic.LoadUint64(&c.Migrations), Held: atomic.LoadUint64(&c.Held), Stale: atomic.LoadUint64(&c.Stale),
		Missed: atomic.LoadUint64(&c.Missed), Relays: atomic.LoadUint64(&c.Relays),
	}
}

func queueStatus(c *steerCoreCounts) QueueStatus {
	in, out := atomic.LoadUint64(&c.Queued), atomic.LoadUint64(&c.Unqueued)
	return QueueStatus{Taken: out, Waiting: int(max(0, int64(in-out))), Drops: atomic.LoadUint64(&c.Overflowed)}
}

// largest keeps the flows with most packets.
func largest(flows []FlowStatus) []FlowStatus {
	slices.SortFunc(flows, func(a, b FlowStatus) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Bucket, b.Bucket))
	})
	return flows[:min(len(flows), flowsShown)]
}

// SteeringStatus reads the counters.
func (d *Datapath) SteeringStatus(context.Context) SteeringStatus {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	status := SteeringStatus{Reason: "no network is steered", Problems: maps.Clone(s.problems)}
	if s.programs == nil {
		status.Cores = s.idle.status()
		return status
	}
	status.CPUs, status.Hooks, status.Interval = s.line.chosen.String(), "clsact", balanceInterval
	if s.programs.tcx {
		status.Hooks = "tcx"
	}
	status.Split = s.programs.split.status()
	status.Reason = "the balancer does not run; packets stay on the cores where they come in"
	if b := s.balancer; b != nil && b.last != nil {
		status.Reason, status.Off = b.last.Reason, b.last.Off
		status.Cores, status.Flows = b.coreStatus(), largest(b.flowStatus())
	}
	return status
}

func (b *balancer) coreStatus() []CoreStatus {
	list := make([]CoreStatus, len(b.machine.Cores))
	for i, c := range b.machine.Cores {
		load, n := b.input.Cores[i], &b.programs.counts.values[c.CPU]
		list[i] = CoreStatus{
			CPU: c.CPU, Steerable: c.Allowed, Busy: load.Busy, Softirq: load.Softirq, Backlog: load.Backlog,
			Drops: b.drops(c.CPU), Queue: queueStatus(n), Driver: stageCounts(&n.Driver), NIC: stageCounts(&n.Nic), VXLAN: stageCounts(&n.Vxlan), Container: stageCounts(&n.Container),
		}
	}
	return list
}

// flowStatus lists the buckets that have had packets of late.
func (b *balancer) flowStatus() []FlowStatus {
	list := make([]FlowStatus, 0, len(b.input.Flows))
	for _, bucket := range b.numbers.owner {
		if bucket < 0 || b.at.Sub(b.buckets[bucket].seen) >= forgetAfter {
			continue
		}
		f, m := &b.programs.flows.values[bucket], b.buckets[bucket]
		list = append(list, FlowStatus{
			Bucket: bucket, VNI: VNI(f.Vni), MAC: MAC(f.Mac).String(), Protocol: f.Protocol,
			Port:    hostOrder16(f.Port),
			Packets: m.packets, Bytes: m.bytes, Sent: m.sent, Volume: m.volume,
			Driver: b.programs.cpuOf(bucket), NIC: int(f.Cpu), VXLAN: b.cpu(m.placement.VXLAN), Container: b.cpu(m.placement.Container),
			Held: atomic.LoadUint64(&f.Held) + atomic.LoadUint64(&b.programs.passages.values[bucket].Held),
		})
	}
	return list
}

func (b *balancer) cpu(core int16) int {
	if core == balance.Inline {
		return -1
	}
	return b.machine.Cores[core].CPU
}

func (b *balancer) drops(cpu int) uint64 {
	for _, s := range b.sampler.samples {
		if s.CPU == cpu {
			return s.Dropped
		}
	}
	return 0
}

// ProtocolName names an IP protocol (IANA's numbers).
func ProtocolName(number uint8) string {
	switch number {
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMPV6:
		return "icmp6"
	case unix.IPPROTO_SCTP:
		return "sctp"
	}
	return strconv.Itoa(int(number))
}
