package subject

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// plain is falcon without any of what makes it fast. There is no falcon that lacks it.
var plain = mode{steering: "off", shortcut: "off", split: "off", xdp: "off"}

// createFalcon creates a network for each of falcon's modes. Those that the product refuses are missing.
func (b *Bed) createFalcon(ctx context.Context) error {
	for i := range b.subjects {
		s := &b.subjects[i]
		if s.kind.falcon == (mode{}) {
			continue
		}
		err := tryMode(ctx, s.kind.falcon)
		if err == nil {
			err = b.createMode(ctx, s.kind, fmt.Sprintf("10.210.%d.0/24", i))
		}
		if cause, refused := refusal(err); refused && s.kind.falcon != plain {
			s.Missing = cause
		} else if err != nil {
			return err
		}
	}
	return b.readTunnels(ctx)
}

// tryMode starts a falcon in a mode, on a host of its own. Networks alone do not tell: they take options that this version
// of falcon knows, but does not do yet.
func tryMode(ctx context.Context, m mode) error {
	if m == plain {
		return nil // so do those of the bed run
	}
	l, err := lab.Start(ctx, lab.Options{Hosts: 1, Falcon: &lab.FalconOptions{
		Args: []string{"--steering=" + m.steering, "--shortcut=" + m.shortcut, splitFlag + m.split, xdpFlag + m.xdp},
	}})
	if err != nil {
		return err
	}
	return l.Close()
}

// refusals are what stands before the reason in falcon's and Docker's messages.
var refusals = []string{"\nfalcon: ", "NetworkDriver.CreateNetwork: "}

// refusal tells whether an error is falcon's no, and its reason.
func refusal(err error) (cause string, refused bool) {
	if err == nil {
		return "", false
	}
	for _, before := range refusals {
		if _, after, ok := strings.Cut(err.Error(), before); ok {
			cause, _, _ = strings.Cut(strings.TrimSpace(after), "\n")
			return strings.TrimPrefix(cause, "falcon: "), true
		}
	}
	return "", false
}

// createMode creates a mode's network on both hosts.
func (b *Bed) createMode(ctx context.Context, k kind, subnet string) error {
	for _, h := range b.hosts() {
		_, err := h.Docker(ctx, "network", "create", "-d", "falcon", "--subnet", subnet,
			"--ipam-driver", "falcon", "--ipam-opt", "falcon.network="+k.network,
			"-o", "falcon.network="+k.network, "-o", "falcon.steering="+k.falcon.steering,
			"-o", "falcon.shortcut="+k.falcon.shortcut, k.network)
		if err != nil {
			return err
		}
	}
	return nil
}

// readTunnels asks for the VXLAN of falcon's networks, which is the same on all hosts.
func (b *Bed) readTunnels(ctx context.Context) error {
	raw, err := b.Receiver.Falcon(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var status struct {
		Host struct {
			Port uint16 `json:"vxlan_port"`
		}
		Networks []struct {
			Name string
			VNI  uint32
		}
	}
	if err := json.Unmarshal([]byte(raw), &status); err != nil {
		return fmt.Errorf("read status of falcon: %w", err)
	}
	for _, n := range status.Networks {
		b.tunnels[n.Name] = load.Tunnel{VNI: n.VNI, Port: status.Host.Port}
	}
	return nil
}

// setDriver restarts falcon with what is to be at the NIC's driver: the modes that a network has no option for. Containers keep their
// network meanwhile.
func (b *Bed) setDriver(ctx context.Context, flag string) error {
	b.driver = "?"
	err := b.onHosts(ctx, func(ctx context.Context, h *lab.Host) error {
		// At a veth, falcon takes no frames that these offloads would be lost of. Injected frames need neither.
		offload := "on"
		if flag != "" {
			offload = "off"
		}
		if _, err := h.Exec(ctx, "ethtool", "-K", NIC, "rxvlan", offload, "tx", offload); err != nil {
			return err
		}
		h.Plugin.SetArgs(driverArgs(h.Plugin.Args(), flag)...)
		return h.Plugin.Restart(ctx)
	})
	if err != nil {
		return fmt.Errorf("restart falcon: %w", err)
	}
	b.driver = flag
	return nil
}

// driverFlag is what has a mode's program at the NIC's driver; empty: it has none there.
func (m mode) driverFlag() string {
	switch {
	case m.split == "on":
		return splitFlag + "on"
	case m.xdp == "on":
		return xdpFlag + "on"
	}
	return ""
}

// driverArgs is a command line of `falcon serve` with one such flag, or none.
func driverArgs(argv []string, flag string) []string {
	argv = slices.DeleteFunc(argv, func(arg string) bool { return strings.HasPrefix(arg, splitFlag) || strings.HasPrefix(arg, xdpFlag) })
	if flag != "" {
		argv = append(argv, flag)
	}
	return argv
}

const (
	splitFlag = "--split="
	xdpFlag   = "--shortcut-xdp="
)
