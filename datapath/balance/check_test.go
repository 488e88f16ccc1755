package balance

import (
	"strings"
	"testing"
	"time"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Machine, *Settings, *Costs)
		want   string
	}{
		{"no cores", func(m *Machine, _ *Settings, _ *Costs) { m.Cores = nil }, "0 cores"},
		{"sibling of itself", func(m *Machine, _ *Settings, _ *Costs) { m.Cores[1].Sibling = []int{1} }, "core 1 has sibling 1"},
		{"unknown sibling", func(m *Machine, _ *Settings, _ *Costs) { m.Cores[0].Sibling = []int{4} }, "core 0 has sibling 4"},
		{"return above spread", func(_ *Machine, s *Settings, _ *Costs) { s.Return = s.Spread }, "return < spread"},
		{"low above high", func(_ *Machine, s *Settings, _ *Costs) { s.Low = 0.9 }, "low < high"},
		{"no dead band", func(_ *Machine, s *Settings, _ *Costs) { s.DeadBand = 0 }, "dead band"},
		{"calm below dwell", func(_ *Machine, s *Settings, _ *Costs) { s.Calm = s.Dwell - time.Millisecond }, "dwell <= calm"},
		{"no moves", func(_ *Machine, s *Settings, _ *Costs) { s.Moves = 0 }, "0 moves"},
		{"fewer tries than moves", func(_ *Machine, s *Settings, _ *Costs) { s.Tries = s.Moves - 1 }, "tries"},
		{"free stage", func(_ *Machine, _ *Settings, c *Costs) { c.Stage[VXLAN] = 0 }, "stage 1"},
		{"negative hop", func(_ *Machine, _ *Settings, c *Costs) { c.Hop = -1 }, "hop"},
	} {
		m, s, c := cores(4), DefaultSettings, DefaultCosts
		test.change(&m, &s, &c)
		if b, err := New(m, s, c); b != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error that says %q", test.name, err, test.want)
		}
	}
}
