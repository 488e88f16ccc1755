package experiment

import (
	"context"
	"errors"

	"falcon/tests/bench/report"
	"falcon/tests/lab"
)

// pairSubnet is that of the network, roomy enough for all containers.
const pairSubnet = "10.200.0.0/22"

// openFalconPair makes hosts with engine and falcon, and an etcd.
func openFalconPair(ctx context.Context) (*enginePair, error) {
	options := lab.Options{Docker: &lab.DockerOptions{}, Falcon: &lab.FalconOptions{}, Etcd: true}
	return openPair(ctx, "falcon", options, func(ctx context.Context, p *enginePair) error {
		p.daemons = []*lab.Daemon{p.lab.Hosts[0].Engine, p.lab.Hosts[0].Plugin}
		for _, h := range p.lab.Hosts {
			_, err := h.Docker(ctx, "network", "create", "--driver", "falcon", "--opt", "falcon.network="+benchNetwork,
				"--ipam-driver", "falcon", "--ipam-opt", "falcon.network="+benchNetwork, "--subnet", pairSubnet, benchNetwork)
			if err != nil {
				return err
			}
		}
		if err := p.furnish(ctx); err != nil {
			return err
		}
		return p.watch("")
	})
}

// openOverlayPair makes hosts with engines and joins them to a swarm, whose manager is the second.
func openOverlayPair(ctx context.Context) (*enginePair, error) {
	options := lab.Options{Docker: &lab.DockerOptions{}}
	return openPair(ctx, report.Overlay, options, func(ctx context.Context, p *enginePair) error {
		worker, manager := p.lab.Hosts[0], p.lab.Hosts[1]
		p.daemons = []*lab.Daemon{worker.Engine}
		if err := lab.JoinSwarm(ctx, manager, worker); err != nil {
			return err
		}
		_, err := manager.Docker(ctx, "network", "create", "--driver", "overlay", "--attachable", "--subnet", pairSubnet, benchNetwork)
		if err != nil {
			return err
		}
		if err := p.furnish(ctx); err != nil {
			return err
		}
		sandbox, err := manager.OverlayNamespace(ctx, benchNetwork)
		if err != nil {
			return err
		}
		return p.watch(sandbox)
	})
}

// openPair starts a lab and has it prepared; when that fails all is ended.
func openPair(
	ctx context.Context, subject string, o lab.Options, prepare func(context.Context, *enginePair) error,
) (*enginePair, error) {
	l, err := lab.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &enginePair{subject: subject, lab: l}
	if err := prepare(ctx, p); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}
