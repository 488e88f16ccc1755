package experiment

import (
	"context"
	"fmt"

	"falcon/tests/bench/subject"
)

// Rounds of the A/A check. More than elsewhere, lest chance decide: of five rounds' ratios all are on one side of 1 once in
// 16 times, though there is no difference.
const (
	aaRounds      = 10
	aaQuickRounds = 3
)

// aaRange is the first and the last round; the first is the warm-up in the full form.
func aaRange(e *Env) (first, last int) {
	return Pick(e, 0, 1), Pick(e, aaRounds, aaQuickRounds)
}

func aaSteps(quick bool) int {
	first, last := aaRange(&Env{Quick: quick})
	return 2 * (last - first + 1)
}

// aa measures one subject against itself, as if it were two, by what other experiments measure with: what differs is the
// instrument's error, and has to be within the spread that the report states.
func aa(ctx context.Context, e *Env) error {
	s, err := e.subject(plainFalcon)
	if err != nil {
		return err
	}
	a, b := s, s
	a.Name, b.Name = "A: "+s.Name, "B: "+s.Name
	first, last := aaRange(e)
	if err := e.turns(ctx, []subject.Subject{a, b}, first, last, measureAA); err != nil {
		return err
	}
	for _, m := range aaMetrics() {
		if err := e.addDifference(s.Name, a.Name, b.Name, m); err != nil {
			return err
		}
	}
	return nil
}

// measureAA is a turn: rates without loss and under overload, and injected TCP.
func measureAA(ctx context.Context, c *Cell) error {
	if err := c.udpRates(ctx, udpSize{"16 B", shortPayload}); err != nil {
		return fmt.Errorf("UDP: %w", err)
	}
	path, err := c.path(ctx, 0, firstPort)
	if err != nil {
		return err
	}
	if err := c.tcpSegments(ctx, path, tcpSize{"full segments", 0}); err != nil {
		return fmt.Errorf("TCP: %w", err)
	}
	return nil
}

// aaMetrics are those of a turn by which two subjects would be compared.
func aaMetrics() []Metric {
	return []Metric{
		{"16 B", "overload rate", "kpps", true},
		{"16 B", "loss-free rate", "kpps", true},
		{"full segments", "throughput, injected", "Gbit/s", true},
	}
}

// addDifference notes the difference of B from A, and whether its spread admits that there is none.
func (e *Env) addDifference(name, a, b string, m Metric) error {
	percent, within, err := e.difference(a, b, m)
	if err != nil {
		return err
	}
	yes := 0.0
	if within {
		yes = 1
	}
	parameter := m.Name + ", " + m.Parameter
	e.Note(name, Metric{Parameter: parameter, Name: "difference", Unit: "%"}, 0, percent)
	e.Note(name, Metric{Parameter: parameter, Name: "within the spread", Unit: "1: yes", HigherIsBetter: true}, 0, yes)
	return nil
}

// difference is that of b from a as the report states ratios.
func (e *Env) difference(a, b string, m Metric) (percent float64, within bool, err error) {
	ratio, low, high, ok := e.report.Ratio(e.name, b, a, m.Parameter, m.Name)
	if !ok {
		return 0, false, fmt.Errorf("compare %s, %s of %s with %s: no round has both", m.Parameter, m.Name, b, a)
	}
	return 100 * (ratio - 1), low <= 1 && high >= 1, nil
}
