package e2e

import (
	"fmt"
	"testing"
	"time"
)

// newcomers is how many new containers the first packet is sent to.
const newcomers = 20

// The first packet that a new container sends arrives, and so does the first one that is sent to it, which may be
// before the other host has heard of it.
func TestFirstPacket(t *testing.T) {
	f := cluster.open(t)
	f.overlay("first", "--ipv6", "--subnet", "10.51.0.0/24", "--subnet", "fd51::/64")
	near, far := f.box(f.h2, "first", "near"), f.box(f.h1, "first", "far")
	// ping says why it failed, and nothing else.
	hello := fmt.Sprintf(`for a in %v %v %v %v; do ping -q -c1 -W1 $a >/tmp/out || cat /tmp/out; done; trap exit TERM; sleep 1000 & wait`,
		far.v4, far.v6, near.v4, near.v6)
	var comers []box
	for i := range newcomers {
		name := fmt.Sprintf("new%d", i)
		b := f.box(f.h2, "first", name, "--entrypoint", "/bin/sh", "--env", "HELLO="+hello)
		_ = b
		comers = append(comers, b)
	}
	_ = comers
	_ = time.Second
}
