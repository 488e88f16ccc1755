package recovery

import (
	"slices"
	"testing"
	"time"

	"falcon/tests/lab"
)

// outage is how long the store is away: longer than leases (10 s) and any request last.
const outage = time.Minute

// The store is not needed for traffic. What needs it fails in time and says why; what was missed is caught up.
func TestEtcdAway(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	p := o.runPair()
	removed := o.run(p.hostA, "removed", 1, 21)
	there, back := o.ping(p.a, p.toB), o.ping(p.b, p.toA)
	before, err := o.kernel(p.hostB)
	o.check(err)

	o.check(o.Etcd.Kill(o.ctx))
	returns := time.After(outage)
	for _, h := range o.Hosts {
		o.degraded(h, "store", o.EtcdAddr())
		o.refuses(h, "store unavailable: etcd "+o.EtcdAddr(), createArgs(2)...)
		o.refuses(h, "store unavailable: etcd "+o.EtcdAddr(), "run", "--name", "late", "--network", networkName(1), lab.ImageName)
		o.must(h.Docker(o.ctx, "rm", "late"))
	}
	o.check(removed.Remove(o.ctx))

	// A falcon that begins without the store leaves everything as it is.
	o.check(p.hostB.Plugin.Kill(o.ctx))
	o.check(p.hostB.Plugin.Start(o.ctx))
	o.degraded(p.hostB, "store", o.EtcdAddr())
	o.refuses(p.hostB, "store unavailable: etcd "+o.EtcdAddr(), createArgs(2)...)
	o.awaitKernel(p.hostB, before, time.Second)

	<-returns
	o.check(o.Etcd.Start(o.ctx))
	for _, h := range o.Hosts {
		o.ready(h)
	}
	o.usable(2)
	o.lossless(there)
	o.lossless(back)
	o.eventually(collected, func() error {
		in, err := o.intent()
		if err != nil {
			return err
		}
		want := []string{"net1 " + p.toA, "net1 " + p.toB}
		slices.Sort(want)
		return sameLines(in.addresses(), want)
	})
	o.settles(5 * time.Second)
	for _, h := range o.Hosts {
		if s := o.status(h); len(s.Degraded) != 0 {
			t.Errorf("status on %s after the outage: %+v", h.Name, s.Degraded)
		}
	}
}
