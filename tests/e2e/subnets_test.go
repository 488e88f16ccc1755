package e2e

import (
	"fmt"
	"testing"
)

// A network may have several subnets: containers in different ones reach each other, on one host and on two.
func TestSeveralSubnets(t *testing.T) {
	f := cluster.open(t)
	f.overlay("wide", "--ipv6", "--subnet", "10.57.0.0/24", "--subnet", "10.58.0.0/24",
		"--subnet", "fd57::/64", "--subnet", "fd58::/64")
	place := func(host int, name string, subnet int) box {
		return f.box(f.Hosts[host], "wide", name, "--ip", fmt.Sprintf("10.%d.0.%d", subnet, 10+host),
			"--ip6", fmt.Sprintf("fd%d::%d", subnet, 10+host))
	}
	boxes := []box{place(0, "low1", 57), place(0, "high1", 58), place(1, "low2", 57), place(1, "high2", 58)}
	for _, b := range boxes {
		b.serve(t)
	}
	for _, from := range boxes {
		for _, to := range boxes {
			if from.Name != to.Name {
				from.pings(t, to.v4)
				from.reaches(t, to.v4, to.Name)
				from.pings(t, to.v6)
				from.reaches(t, to.v6, to.Name)
			}
		}
	}
}

// A container may be in several networks, and reaches in each the containers of that one.
func TestSeveralNetworks(t *testing.T) {
	f := cluster.open(t)
	f.overlay("front", "--subnet", "10.59.0.0/24")
	f.overlay("back", "--subnet", "10.60.0.0/24")
	front, back := f.box(f.h2, "front", "front"), f.box(f.h2, "back", "back")
	front.serve(t)
	back.serve(t)
	f.box(f.h1, "front", "both")
	f.docker(f.h1, "network", "connect", "back", "both")
	both := f.look(f.h1, "front", "both")
	both.serve(t)

	both.reaches(t, front.v4, front.Name)
	both.reaches(t, back.v4, back.Name)
	inFront, _ := both.addresses("front")
	inBack, _ := both.addresses("back")
	front.reaches(t, inFront, both.Name)
	back.reaches(t, inBack, both.Name)
	front.doesNotReach(t, back.v4)

	f.docker(f.h1, "network", "disconnect", "front", "both")
	both.reaches(t, back.v4, back.Name)
	front.doesNotReach(t, inFront)
}
