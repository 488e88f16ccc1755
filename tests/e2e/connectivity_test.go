package e2e

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// Containers of one host and of two reach each other in all ways, and the first packet of each counts.
func TestConnectivity(t *testing.T) {
	f := cluster.open(t)
	f.overlay("dual", "--ipv6", "--subnet", "10.50.0.0/24", "--subnet", "fd50::/64")
	boxes := []box{f.box(f.h1, "dual", "a1"), f.box(f.h1, "dual", "b1"), f.box(f.h2, "dual", "a2")}
	for _, b := range boxes {
		b.serve(t)
	}
	for _, from := range boxes {
		for _, to := range boxes {
			if from.Name == to.Name {
				continue
			}
			for _, address := range []netip.Addr{to.v4, to.v6} {
				t.Run(fmt.Sprintf("%s to %s %v", from.Name, to.Name, address), func(t *testing.T) {
					from.pings(t, address)
					from.reaches(t, address, to.Name)
				})
			}
		}
	}
	t.Run("MTU", func(t *testing.T) {
		f.fullMTU(t, boxes[0], boxes[2], 1450)
		f.fullMTU(t, boxes[0], boxes[1], 1450)
	})
}

// fullMTU checks that a packet of the network's MTU passes whole, and that one byte more is refused at once.
func (f *fixture) fullMTU(t *testing.T, from, to box, mtu int) {
	t.Helper()
	before := f.fragments()
	for _, c := range []struct {
		to      netip.Addr
		headers int // IP and ICMP
	}{{to.v4, 20 + 8}, {to.v6, 40 + 8}} {
		size := strconv.Itoa(mtu - c.headers)
		from.must(t, "ping", "-n", "-M", "do", "-c1", "-W3", "-s", size, c.to.String())
		size = strconv.Itoa(mtu - c.headers + 1)
		out, err := from.exec(t.Context(), "ping", "-n", "-M", "do", "-c1", "-W0.1", "-s", size, c.to.String())
		if err == nil || !strings.Contains(strings.ToLower(out+err.Error()), "message too long") {
			t.Errorf("ping of %s bytes from %v to %v: want \"message too long\", got %v\n%s", size, from, c.to, err, out)
		}
	}
	if after := f.fragments(); after != before {
		t.Errorf("fragments on the underlay: from %q to %q", before, after)
	}
}

// fragments are how often the hosts have cut a packet in pieces.
func (f *fixture) fragments() string {
	f.t.Helper()
	var all []string
	for _, h := range f.Hosts {
		all = append(all, f.run(h, "nstat", "-asz", "IpFragCreates", "Ip6FragCreates"))
	}
	return strings.Join(all, "\n")
}
