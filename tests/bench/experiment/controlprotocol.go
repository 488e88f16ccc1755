package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/lab"
)

// protocolBed is a network on both hosts (on one, with bolt), made and used by falcon's plugin protocol alone.
type protocolBed struct {
	hosts   []*lab.Host
	plugins []api
	subject string
	env     *Env
	samples int // endpoints that are timed at each number of endpoints
	made    int
	spaces  int // namespaces that stand for containers, on the first host
}

const (
	benchNetwork = "bench"
	benchDocker  = "benchbenchbenchbenchbenchbenchbenchbenchbenchbenchbenchbenchbench"
	benchSubnet  = "10.200.0.0/16"
)

// controlProtocol measures falcon with a store, at 5 to most endpoints.
func controlProtocol(ctx context.Context, store string, most int, e *Env) (failure error) {
	hosts := map[string]int{"bolt": 1, "etcd": 2}[store]
	l, err := lab.Start(ctx, lab.Options{Hosts: hosts, Etcd: store == "etcd", Falcon: &lab.FalconOptions{}})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, l.Close()) }()
	b := &protocolBed{hosts: l.Hosts, subject: "falcon, " + store, env: e, samples: Pick(e, 50, 5)}
	defer b.close()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, at := range []int{5, most / 2, most} {
		if err := b.measure(ctx, at); err != nil {
			return fmt.Errorf("at %d endpoints: %w", at, err)
		}
	}
	return nil
}

func (b *protocolBed) close() {
	for _, p := range b.plugins {
		p.close()
	}
}

func (b *protocolBed) measure(ctx context.Context, at int) error {
	if err := b.fill(ctx, at); err != nil {
		return err
	}
	if err := b.timeEndpoints(ctx, at); err != nil {
		return err
	}
	if len(b.hosts) > 1 {
		if err := b.timePropagation(ctx, at); err != nil {
			return err
		}
	}
	mb, err := resident(b.hosts[0].Plugin)
	if err != nil {
		return err
	}
	b.note(at, "resident memory", "MB", mb)
	return b.timeStart(ctx, at)
}

func (b *protocolBed) note(at int, metric, unit string, sample float64) {
	b.env.noteAt(b.subject, at, metric, unit, 0, sample)
}

// timeEndpoints creates endpoints one by one; each is removed again, so that their number stays.
func (b *protocolBed) timeEndpoints(ctx context.Context, at int) error {
	for range b.samples {
		id, _, took, err := b.create(ctx)
		if err != nil {
			return err
		}
		b.note(at, "CreateEndpoint + Join", "ms", millis(took))
		began := time.Now()
		if err := b.remove(ctx, id); err != nil {
			return err
		}
		b.note(at, "DeleteEndpoint", "ms", millis(time.Since(began)))
	}
	b.made -= b.samples
	return nil
}

// timePropagation measures from the return of Join until the other host's VXLAN device has the endpoint's entry, as the
// kernel there announces it. Zero: it was there before Join returned, since CreateEndpoint told of it.
func (b *protocolBed) timePropagation(ctx context.Context, at int) (failure error) {
	w, err := watch(b.hosts[1].Namespace(""))
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, w.close()) }()
	for range b.samples {
		began := time.Now()
		id, mac, _, err := b.create(ctx)
		if err != nil {
			return err
		}
		joined := time.Now()
		arrived, err := w.await(ctx, mac, began)
		if err != nil {
			return err
		}
		b.note(at, "entry on the other host after Join", "ms", max(0, millis(arrived.Sub(joined))))
		if err := b.remove(ctx, id); err != nil {
			return err
		}
	}
	b.made -= b.samples
	return nil
}
