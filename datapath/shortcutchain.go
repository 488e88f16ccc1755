package datapath

import (
	"context"
	"fmt"
	"strings"

	"github.com/safchain/ethtool"
)

// groFeature makes a veth receive in polls of its own, with GRO.
const groFeature = "rx-gro"

// chainDatagrams has GRO at a container's end of its veth chain datagrams, and tells whether it does: then they are to be sent by the
// host's end. That has to leave segmentation to us, or the kernel passes by GRO (veth_skb_is_eligible_for_gro); so TCP, which comes
// merged, is not to be sent there. What cannot be had is no error: datagrams go in one by one.
func (d *Datapath) chainDatagrams(ctx context.Context, e Endpoint, host link) (chains bool, err error) {
	err = d.atContainerEnd(ctx, e, host, func(at containerEnd) error {
		return at.run(func() error {
			return featuresHere(at.name, func(t *ethtool.Ethtool, has map[string]bool) error {
				if _, known := has[chainFeature]; !known {
					return nil
				}
				chains = true
				if has[chainFeature] && has[groFeature] {
					return nil
				}
				return t.Change(at.name, map[string]bool{groFeature: true, chainFeature: true})
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
	return d.withFeatures(ctx, device, func(t *ethtool.Ethtool, has map[string]bool) error {
		change := map[string]bool{}
		for name, is := range has {
			if strings.HasPrefix(name, "tx-tcp") && strings.HasSuffix(name, "-segmentation") && is != on {
				change[name] = on
			}
		}
		if len(change) == 0 {
			return nil
		}
		return t.Change(device, change)
	})
}
