package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// box is a container of a test.
type box struct {
	lab.Container
	host    *lab.Host
	sandbox string                // file of its network namespace
	nets    map[string]attachment // by network
	v4, v6  netip.Addr            // in the network that it was started with; v6 may be invalid
}

// attachment is a container's part in a network, as `docker inspect` shows it.
type attachment struct {
	IPAddress         string
	IPPrefixLen       int
	GlobalIPv6Address string
	MacAddress        string
}

// box runs a container in a network, until the end of the test. args are further ones of `docker run`.
func (f *fixture) box(h *lab.Host, network, name string, args ...string) box {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), commandLimit)
	defer cancel()
	f.atEnd(h.Container(name).Remove)
	if _, err := h.RunContainer(ctx, name, append([]string{"--network", network}, args...)...); err != nil {
		f.t.Fatal(err)
	}
	b, err := inspectBox(ctx, h, name)
	if err != nil {
		f.t.Fatal(err)
	}
	b.v4, b.v6 = b.addresses(network)
	return b
}

func inspectBox(ctx context.Context, h *lab.Host, name string) (box, error) {
	b := box{Container: h.Container(name), host: h}
	out, err := b.Inspect(ctx, "{{json .NetworkSettings}}")
	if err != nil {
		return b, err
	}
	var settings struct {
		SandboxKey string
		Networks   map[string]attachment
	}
	if err := json.Unmarshal([]byte(out), &settings); err != nil {
		return b, fmt.Errorf("inspect %s: %w", name, err)
	}
	b.sandbox, b.nets = settings.SandboxKey, settings.Networks
	return b, nil
}

// addresses are those in a network; invalid ones where it has none.
func (b box) addresses(network string) (v4, v6 netip.Addr) {
	a := b.nets[network]
	v4, _ = netip.ParseAddr(a.IPAddress)
	v6, _ = netip.ParseAddr(a.GlobalIPv6Address)
	return v4, v6
}

// String names the container and its host in messages.
func (b box) String() string { return b.Name + " on " + b.host.Name }

// exec runs a program of the host in the container's network.
func (b box) exec(ctx context.Context, argv ...string) (string, error) {
	return b.host.Exec(ctx, append([]string{"nsenter", "--net=" + b.sandbox}, argv...)...)
}

// must is exec for what does not fail.
func (b box) must(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := b.exec(t.Context(), argv...)
	if err != nil {
		t.Fatalf("%v: %v", b, err)
	}
	return out
}

// device is the container's network device that has an address.
func (b box) device(t testing.TB, has netip.Addr) *net.Interface {
	t.Helper()
	var found *net.Interface
	err := b.host.InNet(b.sandbox, func() error {
		all, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range all {
			addrs, err := i.Addrs()
			if err != nil {
				return err
			}
			for _, a := range addrs {
				if strings.HasPrefix(a.String(), has.String()+"/") {
					found = &i
					return nil
				}
			}
		}
		return errors.New("no device has it")
	})
	if err != nil {
		t.Fatalf("look for %v in %v: %v", has, b, err)
	}
	return found
}
