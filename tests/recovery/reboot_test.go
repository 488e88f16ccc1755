package recovery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"falcon/tests/lab"
)

// After a reboot of a host, its overlays are what its engine still has of them: networks, and containers that
// the engine starts again. What else there was disappears, on the other hosts too.
func TestReboot(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	p := o.runPair("--restart", "always")
	o.run(p.hostA, "ended", 1, 21) // nobody starts it again
	dynamic, err := p.hostA.RunContainer(o.ctx, "dynamic", "--restart", "always", "--network", networkName(1))
	o.check(err)
	o.must(p.hostA.Docker(o.ctx, createArgs(2)...)) // a network without containers
	o.strayEndpoint(p.hostA)

	ping := o.ping(p.b, p.toA)
	o.check(p.hostA.Reboot(o.ctx))
	o.answers(ping, 30*time.Second)
	o.reaches(p.a, p.toB)
	if s := o.status(p.hostA); len(s.Networks) != 2 || len(s.Degraded) != 0 {
		t.Errorf("status after the reboot: %+v", s)
	}

	// All is settled when the stray endpoint has been collected.
	o.eventually(collected, func() error {
		in, err := o.intent()
		if err != nil {
			return err
		}
		want := []string{"net1 " + p.toA, "net1 " + p.toB, "net1 " + o.addressOf(dynamic)}
		slices.Sort(want)
		return sameLines(in.addresses(), want)
	})
	o.settles(5 * time.Second)
	o.reaches(dynamic, p.toB)
	o.reaches(p.b, o.addressOf(dynamic))
	o.must(p.hostA.Docker(o.ctx, "start", "ended"))
	o.reaches(p.b, address(1, 21))
	o.settles(5 * time.Second)
	o.must(p.hostA.Docker(o.ctx, "network", "rm", networkName(2)))
	o.usable(3)
}

// strayEndpoint makes an endpoint with a container that the engine knows nothing of, in network 1.
func (o overlay) strayEndpoint(h *lab.Host) {
	o.t.Helper()
	id := o.must(h.Docker(o.ctx, "network", "inspect", "--format", "{{.Id}}", networkName(1)))
	n := &directNetwork{protocol: newProtocol(o.ctx, h), id: id}
	o.check(n.requestPool(networkName(1), subnet(1)))
	_, err := n.run()
	o.check(err)
}

// addressOf asks the engine for a container's address in network 1.
func (o overlay) addressOf(c lab.Container) string {
	o.t.Helper()
	return o.must(c.Inspect(o.ctx, fmt.Sprintf("{{.NetworkSettings.Networks.%s.IPAddress}}", networkName(1))))
}
