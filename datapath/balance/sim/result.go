package sim

import "falcon/datapath/balance"

// Result is what a policy achieved in a scenario, after Scenario.Measure.
type Result struct {
	Scenario   string
	Policy     Policy
	Throughput float64 // packets per second delivered
	Ideal      float64 // upper bound of it
	Useful     float64 // cores' worth of work for users: stages of delivered packets, readers, applications; no hops
	Fairness   float64 // Jain's index over delivered/offered
	Apps       float64 // share of what applications wanted that they got
	Migrations float64 // per second
	Late       float64 // migrations after the first second of the run
	Reordered  float64 // packets that may have been overtaken
	Drops      float64 // share of the offered packets
	Series     []float64
}

func (r *run) result(p Policy) Result {
	measured := (r.scenario.Duration - r.scenario.Measure).Seconds()
	var total, offered, sum, squares float64
	n := 0
	for i := range r.flows {
		f := &r.flows[i]
		total += f.total
		offered += f.offered
		if f.offered > 0 {
			x := f.total / f.offered
			sum += x
			squares += x * x
			n++
		}
	}
	res := Result{
		Scenario: r.scenario.Name, Policy: p,
		Throughput: total / measured, Ideal: r.ideal(), Useful: r.useful / measured,
		Migrations: float64(r.migrations) / measured, Late: float64(r.lateMigrations),
		Reordered: r.reordered, Apps: 1, Fairness: 1, Series: r.series,
	}
	if offered > 0 {
		res.Drops = r.dropped / offered
	}
	if squares > 0 {
		res.Fairness = sum * sum / (float64(n) * squares)
	}
	if r.appWanted > 0 {
		res.Apps = r.appGot / r.appWanted
	}
	return res
}

// ideal is an upper bound: what is offered, less what the NIC stage's cores cannot take in, less what all cores
// together could not do without a single hop and with all applications starved. (A linear program would count the hops and be
// a few percent lower.)
func (r *run) ideal() float64 {
	measured := (r.scenario.Duration - r.scenario.Measure).Seconds()
	perCore := make([]float64, len(r.cores))
	var reading float64
	for i := range r.flows {
		f := &r.flows[i]
		perCore[f.spec.NIC] += f.offered / measured
	}
	var total float64
	for _, rate := range perCore {
		total += min(rate, 1/r.stage[balance.NIC])
	}
	for i := range r.flows {
		if f := &r.flows[i]; f.spec.Reader >= 0 {
			reading = max(reading, f.spec.ReadCost.Seconds())
		}
	}
	capacity := 0.0
	for i := range r.cores {
		if len(r.cores[i].siblings) > 0 {
			capacity += bothThreads
		} else {
			capacity++
		}
	}
	return min(total, capacity/(r.stage[0]+r.stage[1]+r.stage[2]+reading))
}
