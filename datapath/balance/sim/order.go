package sim

import (
	"slices"

	"falcon/datapath/balance"
)

// step does what is wanted as far as the order of packets allows.
func (d *dynamic) step(r *run) {
	if d.want == nil || slices.Equal(d.want, d.current[:]) {
		return
	}
	for b := range d.current {
		d.change(r, b)
	}
}

func (d *dynamic) drained(r *run, flow int) { d.change(r, r.flows[flow].bucket) }

func (d *dynamic) change(r *run, b int) {
	if d.want == nil || d.want[b] == d.current[b] {
		return
	}
	next := d.settle(r, b)
	if next == d.current[b] {
		return
	}
	d.current[b], d.since[b] = next, r.now
	if d.active[b] > 0 {
		r.migrated()
	}
}

// settle gives a bucket's next placement. The container stage goes to another core when nothing waits for it, and so does the VXLAN
// stage if from there the container stage would be begun at once. Else the VXLAN stage
// goes at once: what waits for it is handed on to the new core, so that nothing overtakes it. (In the kernel this takes
// the time of a redirect for each.)
func (d *dynamic) settle(r *run, b int) balance.Placement {
	now, want := d.current[b], d.want[b]
	nic := r.flows[r.bucket[b][0]].spec.NIC
	from, to := resolve(now.VXLAN, nic), resolve(want.VXLAN, nic)
	drained := true
	for _, i := range r.bucket[b] {
		drained = drained && r.flows[i].waiting[balance.Container] == 0
	}
	if !drained && (from == to || int(now.Container) == to) {
		return now
	}
	if from != to {
		for _, i := range r.bucket[b] {
			r.handOver(i, from, to)
		}
	}
	if !drained {
		want.Container = now.Container
	}
	return want
}

func resolve(to int16, nic int) int {
	if to == balance.Inline {
		return nic
	}
	return int(to)
}

// handOver moves what waits for a flow's VXLAN stage to another core. On the NIC's own it comes before all that is in the ring.
func (r *run) handOver(flow, from, to int) {
	f := &r.flows[flow]
	f.on[balance.VXLAN] = to
	n := r.cores[from].backlog.take(flow, balance.VXLAN)
	if n == 0 {
		return
	}
	c := &r.cores[to]
	if to == f.spec.NIC {
		c.ring.pushFront(parcel{flow, balance.VXLAN, n})
		return
	}
	fits := min(n, max(0, backlog-c.backlog.packets))
	r.queued(flow, balance.VXLAN, fits-n)
	r.dropped += n - fits
	c.drops += n - fits
	if fits > 0 {
		c.backlog.push(parcel{flow, balance.VXLAN, fits})
	}
}
