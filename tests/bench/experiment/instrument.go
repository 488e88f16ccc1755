package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"falcon/tests/bench/report"
)

// instrumented are the subjects by which the instrument is checked: it is the same for all, so one of each encapsulation
// will do, and it must neither lose nor reorder packets of one flow by itself.
func instrumented() []string { return []string{report.Host, report.Overlay, plainFalcon} }

func instrumentSteps(bool) int { return len(instrumented()) }

// instrument checks what measures against what is known: errors that the generator makes on purpose have to be counted
// exactly, and it has to keep a rate that it is told. Where they disagree the run fails at its end, for then no figure of
// it is worth anything.
func instrument(ctx context.Context, e *Env) error {
	var wrong []error
	for _, s := range e.Bed.Subjects() {
		if !slices.Contains(instrumented(), s.Name) {
			continue
		}
		e.progress.Step(e.name + ", " + s.Name)
		if s.Missing != "" {
			e.Missing(s.Name, s.Missing)
			continue
		}
		c := &Cell{Env: e, Subject: s, round: 1}
		if err := c.turn(ctx, checkInstrument); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return errors.Join(wrong...)
}

// checkInstrument makes all checks, whatever comes of each.
func checkInstrument(ctx context.Context, c *Cell) error {
	path, err := c.path(ctx, 0, firstPort)
	if err != nil {
		return err
	}
	var wrong []error
	for _, f := range faults() {
		if err := c.checkFault(ctx, path, f); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", f.name, err))
		}
	}
	return errors.Join(append(wrong, c.checkRates(ctx, path))...)
}
