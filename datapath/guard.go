package datapath

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
)

// guard keeps the overlay out of the host's own network stack: bpf/guard.bpf.c, at tc ingress of each bridge.
// The filter holds the program, so it needs no pin and stays when the process goes.
type guard struct {
	mu   sync.Mutex // for prog and tag
	prog *ebpf.Program
	tag  string
}

// guardName is what `tc filter show dev fbr-<vni> ingress` shows.
const guardName = "falcon_guard"

// load gives the program and its tag, which is a digest of its instructions. It is loaded once.
func (g *guard) load() (*ebpf.Program, string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.prog != nil {
		return g.prog, g.tag, nil
	}
	var objects guardObjects
	if err := loadGuardObjects(&objects, nil); err != nil {
		return nil, "", fmt.Errorf("load guard: %w", err)
	}
	info, err := objects.FalconGuard.Info()
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("load guard: %w", err), objects.Close())
	}
	g.prog, g.tag = objects.FalconGuard, info.Tag
	return g.prog, g.tag, nil
}

func (g *guard) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.prog == nil {
		return nil
	}
	err := g.prog.Close()
	g.prog = nil
	return err
}

// ensureGuard attaches the program to a bridge. An older version that is there already is replaced in one step.
func (d *Datapath) ensureGuard(ctx context.Context, br link) (outcome, error) {
	prog, tag, err := d.guard.load()
	if err != nil {
		return kept, err
	}
	if err := ctx.Err(); err != nil {
		return kept, err
	}
	// By its tag, not by its number: an earlier run's is as good.
	at := hook{device: br.index}
	found, err := d.rt.findTC(ctx, at, guardName)
	if err == nil && (found == nil || found.Tag != tag) {
		if err = d.rt.putTC(at, prog, guardName); err == nil {
			return repaired, nil
		}
	}
	if err != nil {
		return kept, fmt.Errorf("guard bridge %s: %w", br.name, err)
	}
	return kept, nil
}
