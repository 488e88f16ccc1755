package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"falcon/tests/bench/subject"
)

// Segmentation offload as ethtool reads and writes it. Without both TCP still hands down long packets, but the kernel cuts
// them into segments at the first device (kernel, validate_xmit_skb), so that all devices after it see each segment.
var segmentation = []struct{ feature, option string }{
	{"tcp-segmentation-offload", "tso"},
	{"generic-segmentation-offload", "gso"},
}

// nic is a device on which ethtool is run.
type nic struct {
	name string
	exec shell
}

// sendersNICs are the devices by which a place's packets leave its network and its host.
func (c *Cell) sendersNICs(p subject.Place) []nic {
	all := []nic{{subject.NIC, p.Host.Exec}}
	if p.Container != "" {
		all = append(all, nic{p.Device.Name, c.inside(p)})
	}
	return all
}

// restoreLimit bounds what is done after the context has ended.
const restoreLimit = 10 * time.Second

// withoutOffload lets fn run with segmentation offload off at some devices, and restores what was on.
func withoutOffload(ctx context.Context, nics []nic, fn func() error) (failure error) {
	for _, n := range nics {
		options, err := n.segmentation(ctx)
		if err != nil {
			return err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreLimit)
			defer cancel()
			failure = errors.Join(failure, n.set(ctx, options, "on"))
		}()
		if err := n.set(ctx, options, "off"); err != nil {
			return err
		}
	}
	return fn()
}

// segmentation tells by which of its options ethtool would turn off what is on.
func (n nic) segmentation(ctx context.Context) ([]string, error) {
	out, err := n.exec(ctx, "ethtool", "-k", n.name)
	if err != nil {
		return nil, fmt.Errorf("read offloads of %s: %w", n.name, err)
	}
	var on []string
	for line := range strings.Lines(out) {
		feature, state, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for _, s := range segmentation {
			if feature == s.feature && state == "on" {
				on = append(on, s.option)
			}
		}
	}
	return on, nil
}

func (n nic) set(ctx context.Context, options []string, state string) error {
	if len(options) == 0 {
		return nil
	}
	argv := []string{"ethtool", "-K", n.name}
	for _, o := range options {
		argv = append(argv, o, state)
	}
	if _, err := n.exec(ctx, argv...); err != nil {
		return fmt.Errorf("turn segmentation offload of %s %s: %w", n.name, state, err)
	}
	return nil
}
