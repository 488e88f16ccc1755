package experiment

import (
	"testing"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

func TestOtherCoresAreAccountedByTheirIdleTime(t *testing.T) {
	c := &Cell{Env: &Env{Bed: &subject.Bed{Cores: subject.Cores{NIC: 0}}}}
	u := load.Usage{Elapsed: time.Second, Cores: map[int]load.Core{
		0: {SoftIRQ: time.Second},
		1: {Idle: 600 * time.Millisecond, IOWait: 50 * time.Millisecond, Steal: 50 * time.Millisecond, User: 100 * time.Millisecond, SoftIRQ: 100 * time.Millisecond},
		2: {Idle: 1010 * time.Millisecond}, // read a little later
	}}
	if got := c.othersBusy(u); got != 300*time.Millisecond {
		t.Errorf("busy %v", got)
	}
	if got := c.othersSoftIRQ(u); got != 0.5 {
		t.Errorf("softirq %v", got)
	}
	if got := c.othersSoftIRQ(load.Usage{}); got != 0 {
		t.Errorf("softirq %v of nothing", got)
	}
	if got := scaled(time.Second, 3*time.Second, 2*time.Second); got != 1500*time.Millisecond {
		t.Errorf("scaled to %v", got)
	}
}
