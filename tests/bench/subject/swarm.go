package subject

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// overlaySubnet is outside of those that Docker and the swarm choose by themselves.
const overlaySubnet = "10.201.0.0/16"

// createSwarm joins the engines to a swarm and creates its network. Docker makes the network's devices on a host when the
// first container there attaches to it.
//
// The swarm's VXLAN and falcon's share UDP port 4789: both make their devices in the host's network namespace with the
// same receive settings, so that the kernel gives them one socket (vxlan_find_sock) and tells them apart by VNI.
func (b *Bed) createSwarm(ctx context.Context) error {
	manager, worker := b.Sender, b.Receiver
	if _, err := manager.Docker(ctx, "swarm", "init", "--advertise-addr", manager.Addr.String()); err != nil {
		return err
	}
	token, err := manager.Docker(ctx, "swarm", "join-token", "--quiet", "worker")
	if err != nil {
		return err
	}
	if _, err := worker.Docker(ctx, "swarm", "join", "--token", token, manager.Addr.String()+":2377"); err != nil {
		return err
	}
	_, err = manager.Docker(ctx, "network", "create", "--driver", "overlay", "--attachable", "--subnet", overlaySubnet, overlay)
	if err != nil {
		return err
	}
	vni, err := overlayVNI(ctx, manager)
	if err != nil {
		return err
	}
	b.tunnels[overlay] = load.Tunnel{VNI: vni}
	return nil
}

// overlayVNI asks until the swarm has chosen one.
func overlayVNI(ctx context.Context, h *lab.Host) (vni uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = lab.Poll(ctx, func(ctx context.Context) error {
		out, err := h.Docker(ctx, "network", "inspect", "--format",
			`{{index .Options "com.docker.network.driver.overlay.vxlanid_list"}}`, overlay)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(out, 10, 24)
		if err != nil {
			return fmt.Errorf("read VNI of network %s: %w", overlay, err)
		}
		vni = uint32(n)
		return nil
	})
	return vni, err
}

// overlayNamespace is where on a host the swarm keeps the network's bridge and VXLAN device.
func overlayNamespace(ctx context.Context, h *lab.Host) (string, error) {
	id, err := h.Docker(ctx, "network", "inspect", "--format", "{{.Id}}", overlay)
	if err != nil {
		return "", err
	}
	// A number, and what of the identifier the engine takes into names (libnetwork, overlay.NetworkNamespace).
	out, err := h.Exec(ctx, "sh", "-c", "ls -d /run/docker/netns/*-"+id[:min(10, len(id))])
	if err == nil && strings.Contains(out, "\n") {
		err = fmt.Errorf("find namespace of network %s on %s: several: %q", overlay, h.Name, out)
	}
	return out, err
}
