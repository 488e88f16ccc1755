package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// However a container ends, every host forgets it; and a network that a host leaves goes on without it.
func TestRemoval(t *testing.T) {
	f := cluster.open(t)
	f.overlay("passing", "--ipv6", "--subnet", "10.75.0.0/24", "--subnet", "fd75::/64", "-o", "falcon.vni=7500")
	stays := f.box(f.h1, "passing", "stays")
	stays.serve(t)
	empty := map[*lab.Host]string{f.h1: f.forwarding(f.h1), f.h2: f.forwarding(f.h2)}
	records := f.snapshot()

	for _, c := range []struct{ name, command string }{
		{"removed", "docker rm --force leaves"},
		{"stopped", "docker stop --time 0 leaves"},
		{"killed", "docker kill leaves"},
		{"crashed", "kill -9 $(docker inspect --format {{.State.Pid}} leaves)"},
		{"disconnected", "docker network disconnect passing leaves"},
		{"disconnected by force", "docker network disconnect --force passing leaves"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.sub(t)
			leaves := f.box(f.h2, "passing", "leaves")
			leaves.serve(t)
			stays.reaches(t, leaves.v4, leaves.Name)
			for _, h := range f.Hosts {
				f.eventually(func() error { // the packets above found their way without it, if need be
					known := f.forwarding(h)
					for _, part := range []string{leaves.nets["passing"].MacAddress, leaves.v4.String(), leaves.v6.String()} {
						if !strings.Contains(known, part) {
							return fmt.Errorf("%s does not know of %s:\n%s", h.Name, part, known)
						}
					}
					return nil
				})
			}
			f.run(f.h2, "sh", "-c", c.command)
			for _, h := range f.Hosts {
				f.eventually(func() error {
					if known := f.forwarding(h); known != empty[h] {
						return fmt.Errorf("%s still knows: %s\nbefore: %s", h.Name, known, empty[h])
					}
					return nil
				})
			}
			f.docker(f.h2, "rm", "--force", "leaves")
			f.eventually(func() error {
				if now := f.snapshot(); !slices.Equal(now, records) {
					return fmt.Errorf("left: %q, gone: %q", without(now, records), without(records, now))
				}
				return nil
			})
		})
	}

	f.refuse(t, f.h1, []refusal{{"network in use", []string{"network", "rm", "passing"}, []string{"passing", "active endpoints"}}})
	if known := f.forwarding(f.h1); !strings.Contains(known, "dst "+f.h2.Addr.String()) {
		t.Errorf("%s does not flood to %s: %s", f.h1.Name, f.h2.Name, known)
	}
	f.docker(f.h2, "network", "rm", "passing")
	f.eventually(func() error {
		known, hosts := f.forwarding(f.h1), f.status(f.h1).Networks[0].Hosts
		if strings.Contains(known, f.h2.Addr.String()) || !slices.Equal(hosts, []string{f.h1.Name}) {
			return fmt.Errorf("%s left the network, %s has the hosts %q and knows: %s", f.h2.Name, f.h1.Name, hosts, known)
		}
		return nil
	})
	near := f.box(f.h1, "passing", "near")
	near.reaches(t, stays.v4, stays.Name)
}

// forwarding is all that a host's network 7500 knows of containers and hosts.
func (f *fixture) forwarding(h *lab.Host) string {
	f.t.Helper()
	return f.run(h, "sh", "-c", `
		{ bridge fdb show dev fvx-7500; bridge fdb show br fbr-7500; ip neigh show dev fbr-7500 nud all; } |
		grep -vE '33:33:|01:00:5e' | sort`)
}
