package recovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"falcon/tests/lab"
)

const (
	maxNetworks  = 3
	maxEndpoints = 4
	// maxAge keeps networks well below the age at which falcon finds that the engine does not have them.
	maxAge = 20 * time.Second
	// sharedName is of the network that workers on different hosts have in common.
	sharedName   = "shared"
	workerSubnet = "10.200.0.0/24"
)

// worker creates and deletes networks and endpoints in random order, which its random numbers determine.
type worker struct {
	protocol
	r        *rand.Rand
	networks []*populated
	created  int // networks so far
}

// populated is a network with its endpoints.
type populated struct {
	*directNetwork
	endpoints []*directEndpoint
}

func newWorker(ctx context.Context, h *lab.Host, r *rand.Rand) *worker {
	return &worker{protocol: newProtocol(ctx, h), r: r}
}

// run goes through count lives of endpoints, and then deletes all that is left. judge decides what becomes of an
// error: nil to go on.
func (w *worker) run(count int, judge func(error) error) error {
	for lives := 0; lives < count; {
		began, err := w.step()
		if began {
			lives++
		}
		if err := w.judged(err, judge); err != nil {
			return err
		}
	}
	for len(w.networks) > 0 {
		if err := w.judged(w.deleteNetwork(0), judge); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) judged(err error, judge func(error) error) error {
	if err == nil {
		return nil
	}
	if err := judge(err); err != nil {
		return fmt.Errorf("worker on %s: %w", w.host.Name, err)
	}
	return nil
}

// step does one thing, and tells whether it was the begin of an endpoint.
func (w *worker) step() (began bool, err error) {
	if old := slices.IndexFunc(w.networks, func(n *populated) bool { return time.Since(n.born) > maxAge }); old >= 0 {
		return false, w.deleteNetwork(old)
	}
	if len(w.networks) == 0 || len(w.networks) < maxNetworks && w.r.IntN(8) == 0 {
		return false, w.newNetwork()
	}
	at := w.r.IntN(len(w.networks))
	n := w.networks[at]
	switch {
	case w.r.IntN(16) == 0:
		return false, w.deleteNetwork(at)
	case len(n.endpoints) == 0 || len(n.endpoints) < maxEndpoints && w.r.IntN(2) == 0:
		e, err := n.run()
		if err == nil {
			n.endpoints = append(n.endpoints, e)
		}
		return true, err
	}
	return false, w.removeEndpoint(n, w.r.IntN(len(n.endpoints)))
}

func (w *worker) newNetwork() error {
	w.created++
	name := fmt.Sprintf("%s-%d", w.host.Name, w.created)
	shared := slices.ContainsFunc(w.networks, func(n *populated) bool { return n.name == sharedName })
	if !shared && w.r.IntN(2) == 0 {
		name = sharedName
	}
	n, err := w.createNetwork(name, workerSubnet)
	if err == nil {
		w.networks = append(w.networks, &populated{directNetwork: n})
	}
	return err
}

// removeEndpoint forgets the endpoint whatever becomes of it.
func (w *worker) removeEndpoint(n *populated, at int) error {
	e := n.endpoints[at]
	n.endpoints = slices.Delete(n.endpoints, at, at+1)
	return n.remove(e, w.r.IntN(4) == 0)
}

// deleteNetwork forgets the network whatever becomes of it.
func (w *worker) deleteNetwork(at int) error {
	n := w.networks[at]
	w.networks = slices.Delete(w.networks, at, at+1)
	var errs []error
	for len(n.endpoints) > 0 {
		errs = append(errs, w.removeEndpoint(n, 0))
	}
	return errors.Join(append(errs, n.delete())...)
}
