package subject

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// inspect asks the engine where the container is.
func (p *Place) inspect(ctx context.Context) error {
	raw, err := p.Host.Container(p.Container).Inspect(ctx, "{{json .NetworkSettings}}")
	if err != nil {
		return err
	}
	var settings struct {
		SandboxKey string
		Networks   map[string]struct{ IPAddress netip.Addr }
	}
	if err := json.Unmarshal([]byte(raw), &settings); err != nil {
		return fmt.Errorf("read settings of container %s: %w", p.Container, err)
	}
	p.Addr = settings.Networks[p.network].IPAddress
	// /var/run is a link to /run, which would lead astray outside of the host.
	p.Sandbox = strings.TrimPrefix(settings.SandboxKey, "/var")
	return nil
}

// findDevice finds the interface that has the place's address.
func (p *Place) findDevice() error {
	return p.Host.InNet(p.Sandbox, func() error {
		devices, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, d := range devices {
			if has, err := hasAddr(d, p.Addr); err != nil {
				return err
			} else if has {
				p.Device = load.Device{Namespace: p.Host.Namespace(p.Sandbox), Name: d.Name}
				p.MTU = d.MTU
				p.MAC, err = load.ParseMAC(d.HardwareAddr.String())
				return err
			}
		}
		return fmt.Errorf("find device with address %v: none", p.Addr)
	})
}

func hasAddr(d net.Interface, want netip.Addr) (bool, error) {
	addrs, err := d.Addrs()
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, ok := a.(*net.IPNet)
		return ok && prefix.IP.Equal(want.AsSlice())
	}), err
}

// settleLimit bounds what takes milliseconds on an idle machine: a place to become known on the other host.
const settleLimit = 20 * time.Second

// awaitReach waits until a place and the first one of the other host reach each other, if there is that already. Then all
// do: what a host knows of the other's places, it knows for all of its own.
func (b *Bed) awaitReach(ctx context.Context, near, far Place) error {
	if far.Host == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for _, way := range [][2]Place{{far, near}, {near, far}} {
		from, to := way[0], way[1]
		err := lab.Poll(ctx, func(ctx context.Context) error {
			_, err := from.Exec(ctx, b.Cores.Client, "ping", "-n", "-c1", "-W0.3", to.Addr.String())
			return err
		})
		if err != nil {
			return fmt.Errorf("reach %v from %v: %w", to.Addr, from.Addr, err)
		}
	}
	return nil
}
