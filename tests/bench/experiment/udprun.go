package experiment

import (
	"time"

	"falcon/tests/bench/load"
)

// udpRun is what came of one run of a udpRig.
type udpRun struct {
	Sent    load.Sent
	Readers []load.Counts // by reader, in the order in which the paths first name them
	Rate    float64       // offered, packets per second; 0: as fast as can be

	rig    *udpRig
	wanted time.Duration
	begins []time.Duration // when the run began in each reader's series
}

// grace is how long after its end packets of a run may come: it is about what a full ring of the NIC takes at usual rates.
const grace = 3 * time.Millisecond

// Outcome judges a run. Packets that came after its end are held to be lost, with some grace: at a rate that is too high
// queues grow before they overflow, and all of them together hold what makes up several percent of a short run. So a run
// of d cannot tell rates apart that differ by less than grace/d. Elapsed is from the beginning until the last packet that
// counts, or the end, as exactly as the series tells it.
func (r udpRun) Outcome() load.Outcome {
	o := load.Outcome{Sent: r.Sent.Offered, Elapsed: r.wanted}
	for i, c := range r.Readers {
		packets, last := inTime(c.Series, r.rig.load.Interval, r.begins[i], r.wanted+grace)
		o.Received += packets
		o.Elapsed = max(o.Elapsed, last-r.rig.load.Interval)
	}
	return o
}

// steady is the rate at which packets came, per second, after the first third of the run. A flood that the kernel steers
// to the application's core takes some time until it has taken all of the application's, which received well before.
func (r udpRun) steady() float64 {
	var packets uint64
	for i, c := range r.Readers {
		all, _ := inTime(c.Series, r.rig.load.Interval, r.begins[i], r.wanted)
		early, _ := inTime(c.Series, r.rig.load.Interval, r.begins[i], r.wanted/3)
		packets += all - early
	}
	return float64(packets) / (r.wanted - r.wanted/3).Seconds()
}

// inTime counts the packets that came until some time after a beginning, and says when the last of them came.
func inTime(series []load.Interval, interval, begin, limit time.Duration) (packets uint64, last time.Duration) {
	for i, s := range series {
		end := time.Duration(i+1)*interval - begin
		if end-interval >= limit {
			break
		}
		if s.Packets > 0 {
			packets += s.Packets
			last = min(end, limit)
		}
	}
	return packets, last
}

// Flow is what arrived of a flow, by the number of its path.
func (r udpRun) Flow(i int) load.FlowCounts { return r.Readers[r.rig.readerOf[i]].Flows[i] }

// Total is the sum of all flows, late packets included.
func (r udpRun) Total() load.FlowCounts {
	var t load.FlowCounts
	for _, c := range r.Readers {
		one := c.Total()
		t.Received += one.Received
		t.Bytes += one.Bytes
		t.Lost += one.Lost
		t.Reordered += one.Reordered
		t.Extent = max(t.Extent, one.Extent)
		t.Duplicates += one.Duplicates
		t.Ambiguous += one.Ambiguous
	}
	return t
}

// Latency is that of all readers.
func (r udpRun) Latency() *load.Histogram {
	var all load.Histogram
	for _, c := range r.Readers {
		all.Merge(c.Latency)
	}
	return &all
}

// losses say where packets were lost, as shares of those offered.
type losses struct{ ring, stack, socket float64 }

// losses of a run at a fixed rate: at rate 0 the ring loses none. Of datagrams in fragments it is not known what the ring
// lost, since one that lost any fragment is lost: they count as lost on the way but for those whose first it was.
func (r udpRun) losses() losses {
	if r.Sent.Offered == 0 {
		return losses{}
	}
	var socket uint64
	for _, c := range r.Readers {
		socket += c.Dropped
	}
	share := func(packets uint64) float64 { return float64(packets) / float64(r.Sent.Offered) }
	ring := less(r.Sent.Offered, r.Sent.Packets())
	all := less(r.Sent.Offered, r.Total().Received)
	return losses{ring: share(ring), stack: share(less(all, ring+socket)), socket: share(socket)}
}

// less is a-b, or zero if b is greater.
func less(a, b uint64) uint64 { return a - min(a, b) }
