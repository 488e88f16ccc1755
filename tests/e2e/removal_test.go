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
			stays.reaches(t, f.serving(leaves).v4, "leaves")
			for _, h := range f.Hosts {
				known := f.forwarding(h)
				for _, part := range []string{leaves.nets["passing"].MacAddress, leaves.v4.String(), leaves.v6.String()} {
					if !strings.Contains(known, part) {
						t.Errorf("%s does not know of %s:\n%s", h.Name, part, known)
					}
				}
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
}

// serving starts the service of a box.
func (f *fixture) serving(b box) box {
	b.serve(f.t)
	return b
}

// forwarding is all that a host's network 7500 knows of containers and hosts.
func (f *fixture) forwarding(h *lab.Host) string {
	f.t.Helper()
	return f.run(h, "sh", "-c", `
		{ bridge fdb show dev fvx-7500; bridge fdb show br fbr-7500; ip neigh show dev fbr-7500 nud all; } |
		grep -vE '33:33:|01:00:5e' | sort`)
}
