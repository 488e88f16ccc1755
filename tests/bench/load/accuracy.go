package load

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Deviation is how well a generator kept a rate.
type Deviation struct {
	Wanted, Got float64 // packets per second
	Missed      uint64  // frames that the core had no time for
}

// Error is relative: 0.02 is 2%.
func (d Deviation) Error() float64 { return math.Abs(d.Got-d.Wanted) / d.Wanted }

// Accuracy runs a generator at a rate and measures the rate from outside: by its counters and this process's clock, over
// the middle half of a run. On a busy machine that can fail, so it tries up to so many times until the error is within the
// tolerance, and returns all attempts; the last is the best then.
func Accuracy(ctx context.Context, g *Generator, rate float64, d time.Duration, attempts int, tolerance float64) ([]Deviation, error) {
	var all []Deviation
	for range attempts {
		one, err := g.deviation(ctx, rate, d)
		if err != nil {
			return all, fmt.Errorf("measure accuracy: %w", err)
		}
		all = append(all, one)
		if one.Error() <= tolerance {
			break
		}
	}
	return all, nil
}

func (g *Generator) deviation(ctx context.Context, rate float64, d time.Duration) (Deviation, error) {
	type result struct {
		sent Sent
		err  error
	}
	done := make(chan result, 1)
	go func() {
		sent, err := g.Run(ctx, rate, d)
		done <- result{sent, err}
	}()
	got, err := g.sample(d/4, d/2)
	run := <-done
	if err == nil {
		err = run.err
	}
	if err == nil {
		err = ctx.Err()
	}
	return Deviation{Wanted: rate, Got: got, Missed: run.sent.Missed}, err
}

// sample counts packets for a time.
func (g *Generator) sample(after, during time.Duration) (rate float64, err error) {
	time.Sleep(after)
	before, began, err := g.packets()
	if err != nil {
		return 0, err
	}
	time.Sleep(during)
	behind, ended, err := g.packets()
	if err != nil {
		return 0, err
	}
	return float64(behind-before) / ended.Sub(began).Seconds(), nil
}

// packets is how many were sent so far, and when that was so.
func (g *Generator) packets() (uint64, time.Time, error) {
	counts, err := read[genSent](g.injector.objects.Counts, len(g.config.Flows))
	var all uint64
	for _, c := range counts {
		all += c.Datagrams
	}
	return all, time.Now(), err
}
