package experiment

import (
	"context"
	"errors"
	"fmt"

	"falcon/tests/bench/load"
)

// errNothing is that of a subject through which nothing came.
var errNothing = errors.New("nothing arrived")

// flood offers packets as fast as can be, some times over, and finds the trial in which most arrived.
func flood(ctx context.Context, trial load.Trial, times int) (load.Attempt, error) {
	peak, err := load.Overload(ctx, trial, make([]float64, times))
	if err == nil && peak.Best.Outcome.Rate() == 0 {
		err = errNothing
	}
	return peak.Best, err
}

// Bounds of the search for a loss-free rate, as shares of what the NIC's core handed on of a flood.
const (
	searchTo = 1.05
	// searchFrom is of what arrived, where that is most of what was handed on.
	searchFrom = 0.8
	// searchLow is where it is not: a flood that leaves the application no time says little about what can be received.
	searchLow = 0.05
	// searchAgain is how often the bounds are moved where they did not hold.
	searchAgain = 4
)

// lossFree searches for the rate from what came of a flood, with the resolution, tolerance and repeats that s has.
func lossFree(ctx context.Context, trial load.Trial, flooded udpRun, s load.Search) (load.Throughput, error) {
	handed, received := flooded.Sent.Rate(), flooded.steady()
	s.Least, s.Most = handed*searchLow, handed*searchTo
	if received > handed*searchFrom {
		s.Least = received * searchFrom
	}
	var best load.Throughput
	for range searchAgain {
		t, err := load.LossFree(ctx, trial, s)
		if err != nil {
			return t, err
		}
		if t.Rate > best.Rate {
			best = t
		}
		switch {
		case t.Rate == s.Most:
			s.Least, s.Most = s.Most, s.Most*1.25
		case best.Rate == 0:
			s.Least, s.Most = s.Least/4, s.Least
		default:
			return best, nil
		}
	}
	if best.Rate == 0 {
		return best, fmt.Errorf("search for a loss-free rate: packets are lost even at %.0f/s", s.Most)
	}
	return best, nil
}
