package sim

import (
	"math"
	"math/rand/v2"
	"time"

	"falcon/datapath/balance"
)

// tick is how often the balancer is called.
const tick = 10 * time.Millisecond

// noise is how exact measured shares and arrivals are.
const noise = 0.02

// flow is a scenario's flow at run time.
type flow struct {
	spec      Flow
	bucket    int
	socket    float64
	delivered float64 // since the last window
	total     float64 // delivered, in the measured time
	offered   float64 // in the measured time
	rate      [balance.Stages]float64
	on        [balance.Stages]int     // where its packets were sent last, for reordering
	waiting   [balance.Stages]float64 // packets queued for the stage
}

// run is a simulation under way.
type run struct {
	scenario Scenario
	policy   policy
	machine  balance.Machine
	random   *rand.Rand
	cores    []core
	flows    []flow
	bucket   [balance.Buckets][]int // indices of flows
	stage    [balance.Stages]float64
	hop      float64
	now      time.Duration
	order    []int
	arrivals []float64 // by core, of this step

	dropped, reordered, useful, appWanted, appGot float64
	migrations                                    int
	series                                        []float64
	lateMigrations                                int
}

func newRun(s Scenario, p policy) *run {
	r := &run{scenario: s, policy: p, machine: s.Shape.Machine(), random: rand.New(rand.NewPCG(s.Seed, 1)), hop: balance.DefaultCosts.Hop.Seconds()}
	for i, d := range balance.DefaultCosts.Stage {
		r.stage[i] = d.Seconds()
	}
	for i, c := range r.machine.Cores {
		r.cores = append(r.cores, core{node: c.Node, siblings: c.Sibling, speed: 1})
		r.order = append(r.order, i)
	}
	r.arrivals = make([]float64, len(r.cores))
	buckets := rand.New(rand.NewPCG(s.Seed, 2))
	for _, f := range s.Flows {
		if f.End == 0 {
			f.End = s.Duration
		}
		r.join(flow{spec: f, bucket: buckets.IntN(balance.Buckets), on: [balance.Stages]int{-1, -1, -1}})
	}
	return r
}

// join adds a flow. Flows that come in on different cores are never in one bucket.
func (r *run) join(f flow) {
	for others := r.bucket[f.bucket]; len(others) > 0 && r.flows[others[0]].spec.NIC != f.spec.NIC; others = r.bucket[f.bucket] {
		f.bucket = (f.bucket + 1) % balance.Buckets
	}
	r.bucket[f.bucket] = append(r.bucket[f.bucket], len(r.flows))
	r.flows = append(r.flows, f)
}

// Run simulates a scenario under a policy.
func Run(s Scenario, p Policy) Result {
	return newRun(s, p.start(s)).all(p)
}

func (r *run) all(p Policy) Result {
	ticks := int(r.scenario.Duration / tick)
	steps := int(math.Round(tick.Seconds() / step))
	for t := range ticks {
		r.now = time.Duration(t) * tick
		r.window(t)
		r.policy.tick(r)
		for range steps {
			r.step()
			r.now += time.Duration(step * float64(time.Second))
		}
	}
	r.window(ticks)
	return r.result(p)
}

func (r *run) measuring() bool { return r.now > r.scenario.Measure }

// window closes a tick's books.
func (r *run) window(t int) {
	if t == 0 {
		return
	}
	var sum float64
	for i := range r.flows {
		f := &r.flows[i]
		sum += f.delivered
		if r.measuring() {
			f.total += f.delivered
		}
		f.delivered = 0
	}
	r.series = append(r.series, sum/tick.Seconds())
	if !r.measuring() {
		r.dropped, r.reordered, r.useful, r.appWanted, r.appGot, r.migrations = 0, 0, 0, 0, 0, 0
		for i := range r.flows {
			r.flows[i].offered = 0
		}
	}
}

func (r *run) step() {
	r.arriveAll()
	for i := range r.cores {
		c := &r.cores[i]
		c.speed = 1
		for _, s := range c.siblings {
			c.speed *= 1 - (1-bothThreads)*r.cores[s].busyLast
		}
	}
	r.random.Shuffle(len(r.order), func(i, j int) { r.order[i], r.order[j] = r.order[j], r.order[i] })
	for _, i := range r.order {
		r.serve(i)
	}
	r.applications()
	r.policy.step(r)
}

func (f *Flow) rateAt(now time.Duration) float64 {
	switch {
	case now < f.Start || now >= f.End:
		return 0
	case f.SurgeAt > 0 && now >= f.SurgeAt:
		return f.Surge
	default:
		return f.Rate
	}
}

// arriveAll fills the rings. What does not fit is lost, of each flow the same share.
func (r *run) arriveAll() {
	clear(r.arrivals)
	jitter := 1 + noise*(2*r.random.Float64()-1)
	for i := range r.flows {
		f := &r.flows[i].spec
		r.arrivals[f.NIC] += f.rateAt(r.now) * step * jitter
	}
	for i := range r.cores { // from here on: the share that there is room for
		if all, room := r.arrivals[i], ringLimit-r.cores[i].ring.packets; all > room {
			r.arrivals[i] = max(0, room) / all
		} else {
			r.arrivals[i] = 1
		}
	}
	for i := range r.flows {
		f := &r.flows[i]
		n := f.spec.rateAt(r.now) * step * jitter
		share := r.arrivals[f.spec.NIC]
		f.offered += n
		r.dropped += n * (1 - share)
		if n*share > 0 {
			r.cores[f.spec.NIC].ring.push(parcel{i, balance.NIC, n * share})
		}
	}
}

// applications share what softirqs leave: readers and foreign processes in proportion to what they want.
func (r *run) applications() {
	want := r.arrivals
	clear(want)
	for _, a := range r.scenario.Apps {
		if a.runs(r.now, r.scenario.Duration) {
			want[a.Core] += a.Share * step
			r.appWanted += a.Share * step
		}
	}
	for i := range r.flows {
		if f := &r.flows[i]; f.spec.Reader >= 0 {
			want[f.spec.Reader] += f.socket * f.spec.ReadCost.Seconds()
		}
	}
	for i := range r.cores {
		c := &r.cores[i]
		c.softirq += c.used
		got := min(want[i]/c.speed, step-c.used)
		c.busy += c.used + got
		c.busyLast = (c.used + got) / step
		if want[i] > 0 {
			want[i] = got * c.speed / want[i] // from here on: the share of its wish that each process gets
		}
	}
	for _, a := range r.scenario.Apps {
		if a.runs(r.now, r.scenario.Duration) {
			r.appGot += a.Share * step * want[a.Core]
			r.useful += a.Share * step * want[a.Core]
		}
	}
	for i := range r.flows {
		if f := &r.flows[i]; f.spec.Reader >= 0 {
			n := f.socket * want[f.spec.Reader]
			f.socket -= n
			r.done(f, n)
			r.useful += n * f.spec.ReadCost.Seconds()
		}
	}
}

func (a App) runs(now, end time.Duration) bool {
	return now >= a.Start && (a.End == 0 && now < end || now < a.End)
}

// queued accounts for packets that begin or cease to wait for a stage.
func (r *run) queued(flow, stage int, n float64) {
	f := &r.flows[flow]
	f.waiting[stage] += n
	if f.waiting[stage] < 1e-6 && stage == balance.Container {
		f.waiting[stage] = 0
		r.policy.drained(r, flow)
	}
}

// arrive notes where a flow's packets go, and counts those that may be overtaken when it changes.
func (r *run) arrive(flow, stage, to int, n float64) {
	f := &r.flows[flow]
	if f.on[stage] != to {
		if f.on[stage] >= 0 {
			r.reordered += f.waiting[stage]
		}
		f.on[stage] = to
	}
}

func (r *run) target(flow, stage, on int) int { return r.policy.target(r, flow, stage, on) }
