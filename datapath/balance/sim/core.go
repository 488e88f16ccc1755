package sim

import "falcon/datapath/balance"

// The kernel's limits and what the simulated machine costs.
const (
	step        = 0.0002 // seconds
	ringLimit   = 1024   // packets, usual receive ring
	backlog     = 1000   // packets, net.core.netdev_max_backlog
	socketLimit = 256    // packets; net.core.rmem_default holds about as many small ones
	napiWeight  = 64     // packets that one NAPI may process before the next one's turn
	remoteStage = 1.15   // a stage on another node than the packet's memory
	remoteHop   = 2.0    // a hop between nodes
	bothThreads = 0.62   // speed of a thread whose sibling is busy too (1.24 for the two)
)

// core is a simulated CPU.
type core struct {
	ring, backlog queue
	node          int
	siblings      []int
	speed         float64 // of this step
	used          float64 // softirq seconds of this step, at this speed
	busyLast      float64 // share of the last step, for the siblings' speed
	backlogTurn   bool    // the backlog's NAPI is being polled, else the ring's
	weight        float64 // packets that this poll may still process

	// of the current tick
	softirq, busy float64
	drops         float64
}

// serve works off ring and backlog in turns until the step's time is over. Whose turn it is outlives the step.
func (r *run) serve(id int) {
	c := &r.cores[id]
	budget := step * c.speed
	left := budget
	for left > 1e-12 && !(c.ring.empty() && c.backlog.empty()) {
		q := &c.ring
		if c.backlogTurn {
			q = &c.backlog
		}
		left = r.poll(id, q, left)
		if c.weight <= 1e-9 || q.empty() {
			c.backlogTurn, c.weight = !c.backlogTurn, napiWeight
		}
	}
	c.used = (budget - max(left, 0)) / c.speed
}

// poll processes up to what is left of one NAPI weight.
func (r *run) poll(id int, q *queue, left float64) float64 {
	c := &r.cores[id]
	for c.weight > 1e-9 && left > 1e-12 && !q.empty() {
		p := &q.parcels[q.head]
		route := r.route(p.flow, p.stage, id)
		n := min(p.packets, c.weight, left/route.cost)
		whole := n >= p.packets*(1-1e-9)
		now := parcel{p.flow, p.stage, n}
		if whole {
			now.packets = p.packets
			q.head++
			if q.empty() {
				q.parcels, q.head = q.parcels[:0], 0
			}
		} else {
			p.packets -= n
		}
		q.packets -= now.packets
		c.weight -= now.packets
		left -= now.packets * route.cost
		r.handOn(now, id, route)
	}
	return left
}

// route is what happens to packets from a stage on: stages up to last run on this core, then they go to the core next,
// or to the socket.
type route struct {
	last, next int
	cost       float64 // seconds per packet, on this core
}

func (r *run) route(flow, stage, on int) route {
	rt := route{last: stage}
	if stage != balance.NIC {
		rt.cost += r.hopCost(r.cores[r.flows[flow].spec.NIC].node == r.cores[on].node) / 2
	}
	for s := stage; ; s++ {
		rt.cost += r.stageCost(flow, s, on)
		rt.last = s
		if s == balance.Container {
			rt.next = -1
			return rt
		}
		if to := r.target(flow, s+1, on); to != on {
			rt.next = to
			rt.cost += r.hopCost(r.cores[to].node == r.cores[on].node) / 2
			return rt
		}
	}
}

func (r *run) hopCost(sameNode bool) float64 {
	if sameNode {
		return r.hop
	}
	return r.hop * remoteHop
}

func (r *run) stageCost(flow, stage, on int) float64 {
	if r.cores[r.flows[flow].spec.NIC].node != r.cores[on].node {
		return r.stage[stage] * remoteStage
	}
	return r.stage[stage]
}

// handOn accounts for processed packets and puts them into the next queue.
func (r *run) handOn(p parcel, on int, rt route) {
	f := &r.flows[p.flow]
	for s := p.stage; s <= rt.last; s++ {
		f.rate[s] += p.packets
	}
	if p.stage != balance.NIC {
		r.queued(p.flow, p.stage, -p.packets)
	}
	if rt.next < 0 {
		r.deliver(f, p.packets)
		return
	}
	to := &r.cores[rt.next]
	take := min(p.packets, max(0, backlog-to.backlog.packets))
	r.dropped += p.packets - take
	to.drops += p.packets - take
	if take <= 0 {
		return
	}
	stage := rt.last + 1
	r.arrive(p.flow, stage, rt.next, take)
	r.queued(p.flow, stage, take)
	to.backlog.push(parcel{p.flow, stage, take})
}

func (r *run) deliver(f *flow, n float64) {
	if f.spec.Reader < 0 {
		r.done(f, n)
		return
	}
	take := min(n, max(0, socketLimit-f.socket))
	r.dropped += n - take
	f.socket += take
}

// done counts packets that somebody has.
func (r *run) done(f *flow, n float64) {
	f.delivered += n
	r.useful += n * (r.stage[balance.NIC] + r.stage[balance.VXLAN] + r.stage[balance.Container])
}
