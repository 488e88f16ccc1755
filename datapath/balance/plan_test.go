package balance

import (
	"testing"
	"time"
)

// two is a machine of two cores.
func two() Machine { return Machine{Cores: []Core{{CPU: 0, Allowed: true}, {CPU: 1, Allowed: true}}} }

// run lets a balancer see the same load for some time and gives its last plan. What it wants is done at once.
func run(t *testing.T, m Machine, cores []CoreLoad, f Flow) *Plan {
	t.Helper()
	b, err := New(m, DefaultSettings, DefaultCosts)
	if err != nil {
		t.Fatal(err)
	}
	var p *Plan
	f.Current = Placement{Inline, Inline}
	for range 50 {
		p = b.Next(Input{Interval: 10 * time.Millisecond, Cores: cores, Flows: []Flow{f}})
		if want := p.Want[f.Bucket]; want != f.Current {
			f.Current, f.Since = want, 0
		}
		f.Since += 10 * time.Millisecond
	}
	return p
}

func TestPlanLeavesAloneWhatHasRoom(t *testing.T) {
	p := run(t, two(), []CoreLoad{{Busy: 0.2, Softirq: 0.2}, {}}, Flow{Bucket: 7, Rate: [Stages]float64{50_000, 50_000, 50_000}})
	if p.Want[7] != (Placement{Inline, Inline}) {
		t.Errorf("%+v: %s", p.Want[7], p.Reason)
	}
}

func TestPlanSpreadsAnElephantThatFillsItsCore(t *testing.T) {
	p := run(t, two(), []CoreLoad{{Busy: 1, Softirq: 1}, {Busy: 0.3}}, Flow{Bucket: 7, Rate: [Stages]float64{270_000, 270_000, 270_000}})
	if p.Want[7] == (Placement{Inline, Inline}) {
		t.Errorf("stays: %s", p.Reason)
	}
}

func TestPlanPlacesOnlyWhatIsFree(t *testing.T) {
	for free, want := range map[Freedom]Placement{FreeContainer: {Inline, 1}, Bound: stay} {
		f := Flow{Bucket: 7, Rate: [Stages]float64{NIC: 600_000, Container: 600_000}, Free: free}
		if p := run(t, two(), []CoreLoad{{Busy: 1, Softirq: 1}, {Busy: 0.2}}, f); p.Want[7] != want {
			t.Errorf("%d: %+v, want %+v: %s", free, p.Want[7], want, p.Reason)
		}
	}
}

func TestPlanNeverSendsToCoresThatAreNotAllowed(t *testing.T) {
	m := two()
	m.Cores[1].Allowed = false
	p := run(t, m, []CoreLoad{{Busy: 1, Softirq: 1}, {}}, Flow{Bucket: 7, Rate: [Stages]float64{270_000, 270_000, 270_000}})
	if want := p.Want[7]; want.VXLAN == 1 || want.Container == 1 {
		t.Errorf("%+v: %s", want, p.Reason)
	}
}

func TestStaticGivesStagesDifferentCores(t *testing.T) {
	for cores := 2; cores <= 9; cores++ {
		var m Machine
		for cpu := range cores {
			m.Cores = append(m.Cores, Core{CPU: cpu, Allowed: true})
		}
		for bucket := range Buckets {
			p, other := Static(m, bucket)
			if p.VXLAN == p.Container || other.VXLAN == other.Container || p.VXLAN == other.VXLAN {
				t.Fatalf("%d cores, bucket %d: %+v, %+v", cores, bucket, p, other)
			}
		}
	}
}
