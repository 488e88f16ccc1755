package subject

import (
	"context"
	"fmt"
	"strconv"
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
	if err := lab.JoinSwarm(ctx, manager, worker); err != nil {
		return err
	}
	_, err := manager.Docker(ctx, "network", "create", "--driver", "overlay", "--attachable", "--subnet", overlaySubnet, overlay)
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
