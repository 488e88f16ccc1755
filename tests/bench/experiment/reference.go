package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// reference is a subject's capacity for some load: what the rates that are offered to all subjects are shares of.
type reference struct {
	subject string
	rate    float64 // packets per second that arrive when too many are offered
}

// referenceTrial is how long each of the trials is by which a capacity is found.
const referenceTrial = 300 * time.Millisecond

// describer tells what load a subject is to be given.
type describer func(context.Context, *Cell) (udpLoad, error)

// measureReference measures the first of some subjects that is not missing.
func (e *Env) measureReference(ctx context.Context, describe describer, names ...string) (reference, error) {
	s, err := e.firstOf(names)
	if err != nil {
		return reference{}, err
	}
	r := reference{subject: s.Name}
	c := &Cell{Env: e, Subject: s}
	err = c.turn(ctx, func(ctx context.Context, c *Cell) error {
		l, err := describe(ctx, c)
		if err != nil {
			return err
		}
		r.rate, err = c.capacity(ctx, l)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("measure capacity of %s: %w", s.Name, err)
	}
	return r, nil
}

func (c *Cell) capacity(ctx context.Context, l udpLoad) (rate float64, failure error) {
	rig, err := c.openUDP(ctx, l)
	if err != nil {
		return 0, err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	// Where a flood takes the application's time away, more arrives of less.
	flooded, err := flood(ctx, rig.trial(referenceTrial), 2)
	if err != nil {
		return 0, err
	}
	near := flooded.Outcome.Rate()
	offered, err := load.Overload(ctx, rig.trial(referenceTrial), load.Fractions(near, 0.9, 1.4, 4))
	return max(near, offered.Best.Outcome.Rate()), err
}

func (e *Env) firstOf(names []string) (subject.Subject, error) {
	var all []error
	for _, name := range names {
		s, err := e.subject(name)
		if err == nil {
			return s, nil
		}
		all = append(all, err)
	}
	return subject.Subject{}, errors.Join(all...)
}

// subject finds one by its name.
func (e *Env) subject(name string) (subject.Subject, error) {
	for _, s := range e.Bed.Subjects() {
		if s.Name == name && s.Missing == "" {
			return s, nil
		}
	}
	return subject.Subject{}, fmt.Errorf("subject %s is missing", name)
}

// flowsOf is a number of flows of the shortest packets, from as many ports of one place to one socket.
func flowsOf(number int) describer {
	return func(ctx context.Context, c *Cell) (udpLoad, error) {
		paths, err := c.pathsToOne(ctx, number)
		return udpLoad{Paths: paths, Payload: shortPayload}, err
	}
}

// shortPackets is one flow of the shortest packets.
func shortPackets(ctx context.Context, c *Cell) (udpLoad, error) { return flowsOf(1)(ctx, c) }

const shortPayload = 16
