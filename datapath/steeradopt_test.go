package datapath

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
)

// restart replaces host b's datapath by that of a new process, as if the old one had been killed.
func (p *pipeline) restart() {
	t := p.b.t
	t.Helper()
	next, err := Open(Config{Netns: p.b.path(), Steering: p.b.steer.config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { next.Close() })
	next.log = p.b.log
	old := p.b.Datapath
	p.b.Datapath = next
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}

// A daemon that is started with orders not to steer takes back what an earlier one has done, also when the maps say nothing of it:
// another version's, which do not fit, or lost ones.
func TestSteerTakesBackWhatMapsDoNotTell(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *pipeline){
		"intact":             func(*testing.T, *pipeline) {},
		"of another version": makeForeign,
		"of no network any more": func(t *testing.T, p *pipeline) { // killed when it was about to remove them
			p.b.ensureNetwork(p.network(Off))
			p.b.ensureEndpoint(p.cb.Endpoint)
			if err := p.b.steer.programs.dropNetwork(labVNI); err != nil {
				t.Fatal(err)
			}
		},
		"lost": func(t *testing.T, p *pipeline) {
			if err := os.RemoveAll(p.b.steer.config.Pins); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t, Static)
			spoil(t, p)
			p.restart()
			p.pass(Off)
			if got := p.traces(); len(got) > 0 {
				t.Errorf("left: %q", got)
			}
			p.pass(Static)
			if got := p.traces(); len(got) != allTraces {
				t.Errorf("steered again: %q", got)
			}
		})
	}
}

// makeForeign puts a map of another size in the place of a pinned one.
func makeForeign(t *testing.T, p *pipeline) {
	t.Helper()
	pin := filepath.Join(p.b.steer.config.Pins, steerMapNetworks)
	ours, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ours.Type(), KeySize: ours.KeySize(), ValueSize: ours.ValueSize(), MaxEntries: ours.MaxEntries() / 2})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Pin(pin); err != nil {
		t.Fatal(err)
	}
}
