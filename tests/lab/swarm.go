package lab

import (
	"context"
	"fmt"
	"strings"
)

// JoinSwarm makes a swarm of hosts' engines. The first is its manager.
func JoinSwarm(ctx context.Context, manager *Host, workers ...*Host) error {
	if _, err := manager.Docker(ctx, "swarm", "init", "--advertise-addr", manager.Addr.String()); err != nil {
		return err
	}
	token, err := manager.Docker(ctx, "swarm", "join-token", "--quiet", "worker")
	if err != nil {
		return err
	}
	for _, w := range workers {
		if _, err := w.Docker(ctx, "swarm", "join", "--token", token, manager.Addr.String()+":2377"); err != nil {
			return err
		}
	}
	return nil
}

// idInNamespace is how much of a network's ID the engine takes into the namespace's name.
const idInNamespace = 10

// OverlayNamespace is the file, as seen in the host, of the namespace in which its engine keeps bridge and VXLAN device of
// one of Docker's overlay networks. It is there once a container of the host is attached to the network.
func (h *Host) OverlayNamespace(ctx context.Context, network string) (string, error) {
	id, err := h.Docker(ctx, "network", "inspect", "--format", "{{.Id}}", network)
	if err != nil {
		return "", err
	}
	// A number comes first (libnetwork, overlay).
	out, err := h.Exec(ctx, "sh", "-c", "ls -d /run/docker/netns/*-"+id[:min(idInNamespace, len(id))])
	if err == nil && strings.Contains(out, "\n") {
		err = fmt.Errorf("find namespace of network %s on %s: several: %q", network, h.Name, out)
	}
	return out, err
}
