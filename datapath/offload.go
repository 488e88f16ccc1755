package datapath

import (
	"context"
	"fmt"

	"github.com/safchain/ethtool"
)

// Offloads are what a device takes off the CPU for overlay packets.
type Offloads struct {
	Checksum     bool // computes the checksums of what it sends
	Segmentation bool // cuts large overlay packets into frames itself
}

// The kernel's names of the features (net/ethtool/common.c, netdev_features_strings).
var checksumFeatures = []string{"tx-checksum-ip-generic", "tx-checksum-ipv4"}

const tunnelFeature = "tx-udp_tnl-csum-segmentation"

// Offloads asks the driver of a device.
func (d *Datapath) Offloads(ctx context.Context, device string) (Offloads, error) {
	var o Offloads
	err := d.withFeatures(ctx, device, func(_ *ethtool.Ethtool, has map[string]bool) error {
		for _, name := range checksumFeatures {
			o.Checksum = o.Checksum || has[name]
		}
		o.Segmentation = has[tunnelFeature]
		return nil
	})
	if err != nil {
		return o, fmt.Errorf("read offloads of %s: %w", device, err)
	}
	return o, nil
}

// withFeatures calls f with what a device of the host knows and has on.
func (d *Datapath) withFeatures(ctx context.Context, device string, f func(*ethtool.Ethtool, map[string]bool) error) error {
	return d.inHost(ctx, func() error { return featuresHere(device, f) })
}

// featuresHere does so in the calling thread's namespace.
func featuresHere(device string, f func(*ethtool.Ethtool, map[string]bool) error) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	features, err := e.Features(device)
	if err != nil {
		return err
	}
	return f(e, features)
}

// chainFeature makes GRO chain UDP datagrams of one size and flow (kernel 5.6).
const chainFeature = "rx-gro-list"

// mergeDatagrams makes GRO at a device of ours chain datagrams of a flow that were received in one go. A chain goes through bridge,
// netfilter and veth, and from core to core, as one packet, and is taken apart at the socket, unchanged. This is what makes
// a hop cheap. A kernel that cannot do it is no error. The device keeps it as long as there is one: to take it away would have the
// next packet overtake the chain that GRO holds at that moment.
func (d *Datapath) mergeDatagrams(ctx context.Context, device string) error {
	err := d.inHost(ctx, func() error { return setFeatures(device, map[string]bool{chainFeature: true}) })
	if err != nil {
		return fmt.Errorf("set %s of %s: %w", chainFeature, device, err)
	}
	return nil
}

// setFeatures turns features of a device on or off, in the calling thread's namespace. Those that the kernel does not know are left out.
func setFeatures(device string, want map[string]bool) error {
	return featuresHere(device, func(e *ethtool.Ethtool, has map[string]bool) error {
		change := map[string]bool{}
		for name, on := range want {
			if have, known := has[name]; known && have != on {
				change[name] = on
			}
		}
		if len(change) == 0 {
			return nil
		}
		return e.Change(device, change)
	})
}
