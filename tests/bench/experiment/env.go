package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/report"
	"falcon/tests/bench/subject"
)

// Env is what an experiment works with.
type Env struct {
	Bed   *subject.Bed // nil for an experiment that makes its own
	Quick bool         // short form: fewer parameters, rounds and seconds

	name     string // of the experiment
	report   *report.Report
	progress *report.Progress
}

// Metric names one figure of an experiment.
type Metric struct {
	Parameter      string // such as "16 B"
	Name           string
	Unit           string
	HigherIsBetter bool
}

// Cell is a subject's turn in a round.
type Cell struct {
	*Env
	Subject subject.Subject

	round int // from 1; 0 is the warm-up, of which nothing is noted
}

// Rounds in full and in short form. The issue of fewer is that a spread of two says little; that is what the full run is for.
const (
	fullRounds  = 5
	quickRounds = 2
)

// rounds is how many rounds are measured, and the first one: that of the warm-up in the full form.
func (e *Env) rounds() (first, last int) {
	if e.Quick {
		return 1, quickRounds
	}
	return 0, fullRounds
}

// Pick returns the full or the short form's value.
func Pick[T any](e *Env, full, quick T) T {
	if e.Quick {
		return quick
	}
	return full
}

// Rounds lets all subjects that can be measured take turns, round by round (A B C A B C): what the machine does
// meanwhile hits all alike. A subject whose turn fails takes no further part, and fails the run at its end; those that
// are missing are listed in the report. The error is that of the context.
func (e *Env) Rounds(ctx context.Context, measure func(ctx context.Context, c *Cell) error) error {
	first, last := e.rounds()
	return e.turns(ctx, e.Bed.Subjects(), first, last, measure)
}

// turns is Rounds for some subjects and rounds.
func (e *Env) turns(
	ctx context.Context, subjects []subject.Subject, first, last int, measure func(ctx context.Context, c *Cell) error,
) error {
	failed := map[string]bool{}
	for _, s := range subjects {
		if s.Missing != "" {
			e.Missing(s.Name, s.Missing)
			failed[s.Name] = true
		}
	}
	for round := first; round <= last; round++ {
		for _, s := range subjects {
			if failed[s.Name] {
				continue
			}
			e.progress.Step(fmt.Sprintf("%s, %s, round %d of %d", e.name, s.Name, round, last))
			c := &Cell{Env: e, Subject: s, round: round}
			if err := c.turn(ctx, measure); err != nil {
				if ctx.Err() != nil {
					return errors.Join(ctx.Err(), err)
				}
				failed[s.Name] = true
				e.report.Fail(e.name, fmt.Errorf("%s, round %d: %w", s.Name, round, err))
			}
		}
	}
	return nil
}

// turnLimit ends a turn that hangs.
const turnLimit = 3 * time.Minute

func (c *Cell) turn(ctx context.Context, measure func(ctx context.Context, c *Cell) error) error {
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	if err := c.Bed.Enter(ctx, c.Subject); err != nil {
		return fmt.Errorf("enter: %w", err)
	}
	return measure(ctx, c)
}

// Missing lists what cannot be measured, and why.
func (e *Env) Missing(subject, why string) { e.report.Missing(e.name, subject, why) }

// Note notes a sample outside of rounds; a run's part is told apart by its number.
func (e *Env) Note(subject string, m Metric, round int, sample float64) {
	e.report.Add(e.key(subject, m), round, sample)
}

func (e *Env) key(subject string, m Metric) report.Key {
	return report.Key{Experiment: e.name, Subject: subject, Parameter: m.Parameter, Metric: m.Name, Unit: m.Unit, HigherIsBetter: m.HigherIsBetter}
}

// Warmup tells that nothing of this turn is noted: what takes long may be cut short.
func (c *Cell) Warmup() bool { return c.round == 0 }

// Add notes a sample.
func (c *Cell) Add(m Metric, sample float64) {
	if !c.Warmup() {
		c.report.Add(c.key(c.Subject.Name, m), c.round, sample)
	}
}

// AddDistribution notes a cumulative distribution.
func (c *Cell) AddDistribution(m Metric, points []report.Quantile) {
	if !c.Warmup() {
		c.report.AddDistribution(c.key(c.Subject.Name, m), points)
	}
}

// AddSeries notes a time series.
func (c *Cell) AddSeries(m Metric, points []report.Point) {
	if !c.Warmup() {
		c.report.AddSeries(c.key(c.Subject.Name, m), points)
	}
}
