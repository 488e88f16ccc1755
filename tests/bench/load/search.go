package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Outcome is what came of offering packets at a rate.
type Outcome struct {
	Sent, Received uint64 // packets; Sent are those offered, whether or not the NIC's ring had room
	Elapsed        time.Duration
}

// Loss is the share that did not arrive.
func (o Outcome) Loss() float64 {
	if o.Sent == 0 || o.Received >= o.Sent {
		return 0
	}
	return float64(o.Sent-o.Received) / float64(o.Sent)
}

// Rate is packets received per second.
func (o Outcome) Rate() float64 {
	if o.Elapsed <= 0 {
		return 0
	}
	return float64(o.Received) / o.Elapsed.Seconds()
}

// Trial offers packets at a rate per second for as long as a trial is to last. RFC 2544, section 24, wants 60 seconds; on
// a machine that does other things too, many short trials tell more.
type Trial func(ctx context.Context, rate float64) (Outcome, error)

// Attempt is a trial that was made.
type Attempt struct {
	Rate float64
	Outcome
}

// Search bounds the search for a rate.
type Search struct {
	Least, Most float64 // packets per second; Least is taken to be free of loss if nothing else is
	Resolution  float64 // relative width at which the search ends; 0 is 1%
	Tolerance   float64 // share of packets that may be lost; RFC 2544, section 26.1, wants 0
	Repeats     int     // of a trial that lost packets, before the rate is held to be too high; 0: none
}

const defaultResolution = 0.01

// errSearch is that of bounds that are none.
var errSearch = errors.New("search: must have 0 < least <= most, 0 < resolution < 1, 0 <= tolerance < 1 and no negative repeats")

func (s Search) withDefaults() (Search, error) {
	if s.Resolution == 0 {
		s.Resolution = defaultResolution
	}
	if !(s.Least > 0 && s.Least <= s.Most && s.Resolution > 0 && s.Resolution < 1 && s.Tolerance >= 0 && s.Tolerance < 1 && s.Repeats >= 0) {
		return s, errSearch
	}
	return s, nil
}

// Throughput is what LossFree found.
type Throughput struct {
	Rate     float64 // the highest offered rate without loss; 0: even the least lost packets
	Outcome  Outcome // at that rate
	Attempts []Attempt
}

// LossFree searches for the highest rate without loss (RFC 2544, section 26.1: throughput), by halving. It presumes that
// a receiver which loses packets at one rate loses them at all higher ones.
func LossFree(ctx context.Context, trial Trial, s Search) (Throughput, error) {
	s, err := s.withDefaults()
	if err != nil {
		return Throughput{}, err
	}
	var t Throughput
	try := func(rate float64) (bool, error) {
		passed, err := t.try(ctx, trial, s, rate)
		if err != nil {
			return false, fmt.Errorf("try %.0f packets/s: %w", rate, err)
		}
		return passed, nil
	}
	for _, bound := range []struct {
		rate float64
		last bool // what must be so for the search to be over
	}{{s.Most, true}, {s.Least, false}} {
		passed, err := try(bound.rate)
		if err != nil || passed == bound.last {
			return t, err
		}
	}
	for low, high := s.Least, s.Most; high-low > s.Resolution*high; {
		middle := (low + high) / 2
		passed, err := try(middle)
		if err != nil {
			return t, err
		}
		if passed {
			low = middle
		} else {
			high = middle
		}
	}
	return t, nil
}

// try tells whether a rate is free of loss.
func (t *Throughput) try(ctx context.Context, trial Trial, s Search, rate float64) (bool, error) {
	for range s.Repeats + 1 {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		o, err := trial(ctx, rate)
		if err != nil {
			return false, err
		}
		t.Attempts = append(t.Attempts, Attempt{rate, o})
		if o.Sent > 0 && o.Loss() <= s.Tolerance {
			if rate > t.Rate {
				t.Rate, t.Outcome = rate, o
			}
			return true, nil
		}
	}
	return false, nil
}

// Peak is what Overload found.
type Peak struct {
	Best     Attempt // that in which most packets per second arrived
	Attempts []Attempt
}

// Overload offers packets at some rates, most above what can be received, and finds at which most arrive. Rate 0 is as fast
// as can be.
func Overload(ctx context.Context, trial Trial, rates []float64) (Peak, error) {
	var p Peak
	for _, rate := range rates {
		if err := ctx.Err(); err != nil {
			return p, err
		}
		o, err := trial(ctx, rate)
		if err != nil {
			return p, fmt.Errorf("offer %.0f packets/s: %w", rate, err)
		}
		a := Attempt{rate, o}
		p.Attempts = append(p.Attempts, a)
		if len(p.Attempts) == 1 || a.Outcome.Rate() > p.Best.Outcome.Rate() {
			p.Best = a
		}
	}
	return p, nil
}

// Fractions are rates from one share of a capacity to another, in equal steps.
func Fractions(capacity, from, to float64, steps int) []float64 {
	var all []float64
	for i := range steps {
		share := from
		if steps > 1 {
			share += (to - from) * float64(i) / float64(steps-1)
		}
		all = append(all, capacity*share)
	}
	return all
}
