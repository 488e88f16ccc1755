package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
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

// box runs a container that does nothing in a network, until the end of the test. args are further ones of
// `docker run`.
func (f *fixture) box(h *lab.Host, network, name string, args ...string) box {
	f.t.Helper()
	f.start(h, network, name, args)
	return f.look(h, network, name)
}

// start runs a container, until the end of the test, and does not look at it.
func (f *fixture) start(h *lab.Host, network, name string, args []string, command ...string) {
	f.t.Helper()
	f.boxes[h] = append(f.boxes[h], name)
	run := []string{"run", "--detach", "--name", name, "--hostname", name, "--network", network}
	f.docker(h, slices.Concat(run, args, []string{lab.ImageName}, command)...)
}

// removeBoxes removes containers that may not exist, few at a time: an engine that kills many at once loses patience with itself.
func removeBoxes(ctx context.Context, h *lab.Host, names []string) error {
	var failures []error
	for some := range slices.Chunk(names, 10) {
		_, err := h.Docker(ctx, append([]string{"rm", "--force", "--volumes"}, some...)...)
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// look finds a container that runs.
func (f *fixture) look(h *lab.Host, network, name string) box {
	f.t.Helper()
	b := box{Container: h.Container(name), host: h}
	var settings struct {
		SandboxKey string
		Networks   map[string]attachment
	}
	out := f.docker(h, "inspect", "--format", "{{json .NetworkSettings}}", name)
	if err := json.Unmarshal([]byte(out), &settings); err != nil {
		f.t.Fatalf("inspect %s: %v", name, err)
	}
	b.sandbox, b.nets = settings.SandboxKey, settings.Networks
	b.v4, b.v6 = b.addresses(network)
	return b
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
