package datapath

import (
	"context"
	"fmt"

	"github.com/safchain/ethtool"
)

// groFeature makes a veth receive in polls of its own, with GRO.
const groFeature = "rx-gro"

// segmentation is what a device must leave to us (NETIF_F_ALL_TSO) for its other end to use GRO.
var segmentation = []string{"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp-accecn-segmentation"}

// chainDatagrams has GRO at a container's end of its veth chain datagrams, and tells whether it does: then they are to be sent by the
// host's end. That has to leave segmentation to us, or the kernel passes by GRO (veth_skb_is_eligible_for_gro); so TCP, which comes
// merged, is not to be sent there. A kernel that cannot do it (before 5.6) is no error: datagrams go in one by one.
func (d *Datapath) chainDatagrams(ctx context.Context, e Endpoint, host link) (chains bool, err error) {
	err = d.atContainerEnd(ctx, e, host, func(at containerEnd) error {
		return at.run(func() error {
			if err := setFeatures(at.name, map[string]bool{groFeature: true, chainFeature: true}); err != nil {
				return err
			}
			return featuresHere(at.name, func(_ *ethtool.Ethtool, has map[string]bool) error {
				chains = has[groFeature] && has[chainFeature]
				return nil
			})
		})
	})
	if err == nil && chains {
		err = d.setSegmentation(ctx, host.name, false)
	}
	if err != nil {
		return false, fmt.Errorf("have datagrams chained at endpoint %s: %w", shortID(e.ID), err)
	}
	return chains, nil
}

// setSegmentation says whether a device is given TCP segments that are still one packet.
func (d *Datapath) setSegmentation(ctx context.Context, device string, on bool) error {
	want := map[string]bool{}
	for _, name := range segmentation {
		want[name] = on
	}
	return d.inHost(ctx, func() error { return setFeatures(device, want) })
}
