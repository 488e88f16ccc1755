package recovery

import (
	"testing"
	"time"

	"falcon/tests/lab"
)

// Traffic does not pass through falcon: nothing is lost when it is killed, while it is away, and when it
// comes back and compares the kernel with the store.
func TestKillFalcon(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	p := o.runPair()
	there, back := o.ping(p.a, p.toB), o.ping(p.b, p.toA)
	for range 3 {
		for _, h := range o.Hosts {
			o.check(h.Plugin.Kill(o.ctx))
			o.observe(there, 300*time.Millisecond)
			o.check(h.Plugin.Start(o.ctx))
			o.ready(h)
			o.observe(there, 300*time.Millisecond)
		}
	}
	o.lossless(there)
	o.lossless(back)
	o.settles(5 * time.Second)
	o.usable(2)
}
