package experiment

import (
	"context"
	"time"

	"falcon/tests/bench/load"
)

// account is the CPU time that a load took.
type account struct {
	sent    load.Sent
	nic     time.Duration // of the NIC's core, in the receive path; exact
	app     load.Process  // the receiving application, with the softirqs that interrupted it; exact
	others  time.Duration // of all other cores, app's included, less what they do without the load
	softirq float64       // share of others; sampled
}

// account runs a load and finds out what it took. Before, it watches the machine without it.
func (c *Cell) account(ctx context.Context, app int, run func() (load.Sent, error)) (a account, err error) {
	idle, err := usage(func() error { return sleep(ctx, c.costBaseline()) })
	if err != nil {
		return a, err
	}
	before, err := load.ProcessTime(app)
	if err != nil {
		return a, err
	}
	var after load.Process
	loaded, err := usage(func() (err error) {
		if a.sent, err = run(); err != nil {
			return err
		}
		after, err = load.ProcessTime(app)
		return err
	})
	if err != nil {
		return a, err
	}
	a.nic, a.app = a.sent.Receiving, after.Since(before)
	usual := scaled(c.othersBusy(idle), loaded.Elapsed, idle.Elapsed)
	// When something else ran before and not now, what is known for sure is the least that it can be.
	a.others = max(a.app.CPU, c.othersBusy(loaded)-usual)
	a.softirq = c.othersSoftIRQ(loaded)
	return a, ctx.Err()
}

// usage is what the cores did while fn ran.
func usage(fn func() error) (load.Usage, error) {
	before, err := load.TakeSnapshot()
	if err != nil {
		return load.Usage{}, err
	}
	if err := fn(); err != nil {
		return load.Usage{}, err
	}
	after, err := load.TakeSnapshot()
	return after.Since(before), err
}

// othersBusy is how long cores other than the NIC's were not idle. The kernel keeps idle time by the clock where it stops
// the tick of idle cores (CONFIG_NO_HZ_IDLE); the sum of what it samples would be less exact.
func (c *Cell) othersBusy(u load.Usage) (busy time.Duration) {
	for core, did := range u.Cores {
		if core != c.Bed.Cores.NIC {
			busy += max(0, u.Elapsed-did.Idle-did.IOWait-did.Steal)
		}
	}
	return busy
}

// othersSoftIRQ is the share of softirqs in what cores other than the NIC's did, as the kernel's tick finds it: it is off
// in idle cores, so only the proportion means something.
func (c *Cell) othersSoftIRQ(u load.Usage) float64 {
	var softirq, busy time.Duration
	for core, did := range u.Cores {
		if core != c.Bed.Cores.NIC {
			softirq += did.SoftIRQ
			busy += did.Busy()
		}
	}
	if busy == 0 {
		return 0
	}
	return float64(softirq) / float64(busy)
}

// scaled is a duration as it would be in another time.
func scaled(d, to, from time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(to) / float64(from))
}

// add notes the shares of so many units.
func (a account) add(c *Cell, parameter, unit string, units float64) {
	user := 0.0
	if all := a.app.User + a.app.System; all > 0 {
		user = float64(a.app.User) / float64(all) * float64(a.app.CPU)
	}
	for name, spent := range map[string]float64{
		"CPU, all cores":                      float64(a.nic + a.others),
		"CPU, NIC's core, softirq":            float64(a.nic),
		"CPU, other cores":                    float64(a.others),
		"CPU, other cores, softirq (sampled)": a.softirq * float64(a.others),
		"CPU, application":                    float64(a.app.CPU),
		"CPU, application, user (sampled)":    user,
	} {
		c.Add(Metric{parameter, name, unit, false}, spent/units)
	}
}
