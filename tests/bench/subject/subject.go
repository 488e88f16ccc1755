package subject

import "falcon/tests/bench/report"

// Subject is a way to connect two hosts' applications.
type Subject struct {
	Name    string
	Missing string // why it cannot be measured here; empty if it can

	kind kind
}

// kind tells what a subject consists of.
type kind struct {
	network string // its Docker network; empty: the hosts' own
	falcon  mode   // of a network of falcon's; zero: it is none
	bare    bool   // without the engine's rules of netfilter
	rps     bool   // packets are spread over all cores by receive packet steering
}

// mode is what falcon does with packets. Values are those of the flags of `falcon serve`.
type mode struct{ steering, shortcut, split, xdp string }

// overlay is the swarm's network.
const overlay = "overlay"

// candidates are all subjects, whether or not they can be measured here.
func candidates() []Subject {
	subjects := []Subject{
		{Name: report.Host},
		{Name: report.Bare, kind: kind{bare: true}},
		{Name: report.Overlay, kind: kind{network: overlay}},
		{Name: report.OverlayRPS, kind: kind{network: overlay, rps: true}},
	}
	for _, f := range []struct {
		name string
		mode mode
	}{
		{"falcon", mode{"off", "off", "off", "off"}},
		{"falcon-static", mode{"static", "off", "off", "off"}},
		{"falcon-dynamic", mode{"dynamic", "off", "off", "off"}},
		{"falcon-shortcut", mode{"off", "on", "off", "off"}},
		{"falcon-shortcut-xdp", mode{"off", "on", "off", "on"}},
		{"falcon-shortcut-dynamic", mode{"dynamic", "on", "off", "off"}},
		{"falcon-split-dynamic", mode{"dynamic", "off", "on", "off"}},
		{"falcon-all", mode{"dynamic", "on", "on", "off"}},
	} {
		subjects = append(subjects, Subject{Name: f.name, kind: kind{network: f.name, falcon: f.mode}})
	}
	return subjects
}

// TakesFrames tells whether datagrams are taken at the NIC's driver, before all devices.
func (s Subject) TakesFrames() bool { return s.kind.falcon.xdp == "on" }
