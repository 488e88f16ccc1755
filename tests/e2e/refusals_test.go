package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// refusal is a docker command that must fail, with a message that has all these parts, and change nothing.
type refusal struct {
	name string
	args []string
	want []string
}

// refuse tries commands on a host. What there is in the lab at its beginning is what there must be after each.
func (f *fixture) refuse(t *testing.T, h *lab.Host, cases []refusal) {
	before := f.snapshot()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := f.try(h, append([]string{client()}, c.args...)...)
			if err == nil {
				t.Fatalf("docker %s was accepted: %s", strings.Join(c.args, " "), out)
			}
			_, message, _ := strings.Cut(err.Error(), "Error response from daemon: ")
			for _, part := range c.want {
				if !strings.Contains(message, part) {
					t.Errorf("%q is not in the message: %v", part, err)
				}
			}
			f.in(t).eventually(func() error {
				if after := f.snapshot(); !slices.Equal(after, before) {
					return fmt.Errorf("something changed; gone: %q; new: %q", without(before, after), without(after, before))
				}
				return nil
			})
		})
	}
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// created is the part of a record that a repeated request may change.
var created = regexp.MustCompile(`"created":"[^"]*"`)

// snapshot is what there is in the lab, one line for each thing.
func (f *fixture) snapshot() []string {
	f.t.Helper()
	var all []string
	records, err := intent(f.t.Context(), f.Lab)
	if err != nil {
		f.t.Fatal(err)
	}
	for key, value := range records {
		if strings.HasPrefix(key, "scopes/") {
			value = nil // says who was the last to write it
		}
		all = append(all, key+" "+created.ReplaceAllString(string(value), ""))
	}
	for _, h := range f.Hosts {
		devices, err := ownDevices(f.t.Context(), h)
		if err != nil {
			f.t.Fatal(err)
		}
		known := f.docker(h, "network", "ls", "--filter", "driver=falcon", "--format", "network {{.Name}}") + "\n" + f.docker(h, "ps", "--all", "--format", "container {{.Names}}")
		for _, what := range append(devices, strings.Split(known, "\n")...) {
			all = append(all, h.Name+" "+what)
		}
	}
	slices.Sort(all)
	return all
}

// create are the arguments of a docker command that would create a network of the name "no", with falcon's IPAM.
func create(args ...string) []string {
	return slices.Concat([]string{"network", "create", "-d", "falcon", "--ipam-driver", "falcon"}, args, []string{"no"})
}

// join are those of one that would take part in a network.
func join(name string, args ...string) []string {
	return slices.Concat([]string{"network", "create"}, overlayArgs(name, args...), []string{"no"})
}

func TestRefusedNetworks(t *testing.T) {
	f := cluster.open(t)
	f.overlay("base", "--subnet", "10.62.0.0/24", "-o", "falcon.vni=5000")
	f.network(f.h1, "plain", "-d", "falcon", "--ipam-driver", "falcon", "--subnet", "10.64.0.0/24")
	f.network(f.h2, "solo", overlayArgs("solo", "--subnet", "10.65.0.0/24", "-o", "com.docker.network.driver.mtu=1400", "-o", "falcon.vni=5001")...)
	f.run(f.h1, "ip", "link", "add", "foreign", "type", "vxlan", "id", "6000", "dstport", "4789", "local", f.h1.Addr.String())
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h1.Exec(ctx, "ip", "link", "delete", "foreign")
		return err
	})
	const vnis, mtu = "must be a number from 1 to 16777215", "com.docker.network.driver.mtu"
	v6 := []string{"--ipv6", "--subnet", "10.63.0.0/24", "--subnet", "fd63::/64"}
	f.refuse(t, f.h1, []refusal{
		{"VNI 0", create("-o", "falcon.vni=0"), []string{`falcon.vni="0"`, vnis}},
		{"VNI too large", create("-o", "falcon.vni=16777216"), []string{`falcon.vni="16777216"`, vnis}},
		{"VNI no number", create("-o", "falcon.vni=ten"), []string{`falcon.vni="ten"`, vnis}},
		{"VNI of another network", create("-o", "falcon.vni=5000"), []string{`falcon.vni="5000"`, "taken by network base", "give another"}},
		{"VNI of another host's network", create("-o", "falcon.vni=5001"), []string{`falcon.vni="5001"`, "taken by network solo", "give another"}},
		{"VNI of a foreign device", create("-o", "falcon.vni=6000"), []string{`falcon.vni="6000"`, "taken by device foreign", "give another"}},
		{"MTU larger than the underlay", create("-o", mtu+"=1451"), []string{mtu + `="1451"`, "at most 1450", "underlay eth0 has an MTU of 1500"}},
		{"MTU too small for IPv6", create(append(v6, "-o", mtu+"=1279")...), []string{mtu + `="1279"`, "at least 1280", "IPv6"}},
		{"MTU too small", create("-o", mtu+"=67"), []string{mtu + `="67"`, "number from 68 to 65535"}},
		{"MTU no number", create("-o", mtu+"=jumbo"), []string{mtu + `="jumbo"`, "number from 68 to 65535"}},
		{"bad name", create("-o", "falcon.network=a/b"), []string{`falcon.network="a/b"`, "1 to 64 letters"}},
		{"bad steering", create("-o", "falcon.steering=fast"), []string{`falcon.steering="fast"`, "off, static, dynamic"}},
		{"bad shortcut", create("-o", "falcon.shortcut=maybe"), []string{`falcon.shortcut="maybe"`, "on, off"}},
		{"unknown option", create("-o", "falcon.vnii=5"), []string{`falcon.vnii="5"`, "unknown", "falcon.vni"}},
		{"unknown IPAM option", create("--ipam-opt", "falcon.vni=5"), []string{"falcon.vni", `"5"`, "unknown", "only falcon.network"}},
		{"bad IPAM name", create("--ipam-opt", "falcon.network=a/b"), []string{"falcon.network", `"a/b"`, "1 to 64 letters"}},
		{"name for IPAM alone", create("--ipam-opt", "falcon.network=alone"), []string{"-o falcon.network=NAME", "--ipam-opt falcon.network=NAME"}},
		{"subnets that overlap", create("--subnet", "10.63.0.0/16", "--subnet", "10.63.1.0/24"), nil},
		{"part of another network's subnet", create("--subnet", "10.64.0.128/25"), []string{"10.64.0.128/25", "10.64.0.0/24", "overlap", "--subnet"}},
		{"subnet of another network", create("--subnet", "10.64.0.0/24"), []string{"10.64.0.0/24", "already", "--subnet"}},
		{"gateway is the subnet's address", create("--subnet", "10.63.0.0/24", "--gateway", "10.63.0.0"), []string{"10.63.0.0", "10.63.0.0/24"}},
		{"gateway is the broadcast address", create("--subnet", "10.63.0.0/24", "--gateway", "10.63.0.255"), []string{"10.63.0.255", "10.63.0.0/24"}},
		{"auxiliary address is the gateway", create("--subnet", "10.63.0.0/24", "--gateway", "10.63.0.1", "--aux-address", "printer=10.63.0.1"), []string{"10.63.0.1", "taken", "gateway"}},
		{"network twice on a host", join("base", "--subnet", "10.62.0.0/24"), []string{"falcon.network=base", "taken", "another name"}},
		{"join with another subnet", join("solo", "--subnet", "10.66.0.0/24"), []string{"solo", "10.66.0.0/24", "the network has", "10.65.0.0/24"}},
		{"join with a further subnet", join("solo", "--subnet", "10.65.0.0/24", "--subnet", "10.66.0.0/24"), []string{"solo", "10.66.0.0/24", "the network has"}},
		{"join with part of the subnet", join("solo", "--subnet", "10.65.0.0/25"), []string{"10.65.0.0/25", "10.65.0.0/24", "overlap"}},
		{"join as internal", join("solo", "--internal"), []string{"solo", "--internal=true", "the network has false"}},
		{"join with another MTU", join("solo", "-o", mtu+"=1300"), []string{"solo", mtu + `="1300"`, "must be 1400"}},
		{"join with another VNI", join("solo", "-o", "falcon.vni=5002"), []string{"solo", `falcon.vni="5002"`, "must be 5001"}},
	})
}

func TestRefusedContainers(t *testing.T) {
	f := cluster.open(t)
	const mac = "02:42:99:00:00:01"
	f.overlay("base", "--subnet", "10.62.0.0/24", "--gateway", "10.62.0.1", "--aux-address", "printer=10.62.0.5",
		"--ipv6", "--subnet", "fd62::/64", "--gateway", "fd62::1", "--aux-address", "scanner=fd62::5")
	f.box(f.h1, "base", "here", "--ip", "10.62.0.21", "--ip6", "fd62::21")
	f.box(f.h2, "base", "there", "--ip", "10.62.0.20", "--ip6", "fd62::20", "--mac-address", mac)
	// The engines give addresses each by itself here, and begin with the same one.
	for _, h := range f.Hosts {
		f.network(h, "clash", "-d", "falcon", "-o", "falcon.network=clash", "--subnet", "10.67.0.0/24")
	}
	first := f.box(f.h2, "clash", "first")

	run := func(network string, args ...string) []string {
		return slices.Concat([]string{"run", "--rm", "--name", "no", "--network", network}, args, []string{lab.ImageName, "true"})
	}
	f.refuse(t, f.h1, []refusal{
		{"address outside", run("base", "--ip", "10.63.0.5"), []string{"10.63.0.5"}}, // Docker's own message
		{"address of a container", run("base", "--ip", "10.62.0.21"), []string{"10.62.0.21", "taken"}},
		{"address of another host's container", run("base", "--ip", "10.62.0.20"), []string{"10.62.0.20", "taken"}},
		{"address of the subnet", run("base", "--ip", "10.62.0.0"), []string{"10.62.0.0", "host address of 10.62.0.0/24"}},
		{"broadcast address", run("base", "--ip", "10.62.0.255"), []string{"10.62.0.255", "host address of 10.62.0.0/24"}},
		{"gateway", run("base", "--ip", "10.62.0.1"), []string{"10.62.0.1", "taken", "gateway"}},
		{"auxiliary address", run("base", "--ip", "10.62.0.5"), []string{"10.62.0.5", "taken", "auxiliary"}},
		{"IPv6 address of a container", run("base", "--ip6", "fd62::21"), []string{"fd62::21", "taken"}},
		{"IPv6 auxiliary address", run("base", "--ip6", "fd62::5"), []string{"fd62::5", "taken", "auxiliary"}},
		{"MAC of a container", run("base", "--mac-address", mac), []string{mac, "taken"}},
		{"multicast MAC", run("base", "--mac-address", "01:00:5e:00:00:01"), []string{"01:00:5e:00:00:01", "multicast"}},
		{"address that another engine gave", run("clash"), []string{first.v4.String(), "taken", "on host h2", "--ipam-driver falcon"}},
	})
	// When IPAM refuses the IPv6 address, Docker has an IPv4 address by then and forgets to give it back (moby 20.10,
	// libnetwork/endpoint.go, assignAddress); falcon collects it after a while. So it is always the same one, lost beforehand.
	const lost = "10.62.0.30"
	v6 := func(address string) []string { return run("base", "--ip", lost, "--ip6", address) }
	_, _ = f.try(f.h1, append([]string{client()}, v6("fd62::1")...)...)
	f.refuse(t, f.h1, []refusal{
		{"IPv6 address of another host's container", v6("fd62::20"), []string{"fd62::20", "taken"}},
		{"IPv6 address of the subnet", v6("fd62::"), []string{`"fd62::"`, "host address of fd62::/64"}},
		{"IPv6 gateway", v6("fd62::1"), []string{"fd62::1", "taken", "gateway"}},
	})

	// All that is as it was, and what was not taken is free.
	here, there := f.look(f.h1, "base", "here"), f.look(f.h2, "base", "there")
	here.pings(t, there.v4)
	here.pings(t, there.v6)
	f.docker(f.h1, run("base", "--ip", lost, "--ip6", "fd62::22")...)
}
