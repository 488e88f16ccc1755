package recovery

import (
	"fmt"
	"testing"
	"time"

	"falcon/tests/lab"
)

// With live-restore, containers outlive their engine, and so does their traffic. The new engine asks falcon
// nothing about them, and must be able to go on from there.
func TestRestartEngineLive(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{LiveRestore: true})
	p := o.runPair()
	there, back := o.ping(p.a, p.toB), o.ping(p.b, p.toA)
	o.check(p.hostA.Engine.Restart(o.ctx))
	o.check(p.hostB.Engine.Kill(o.ctx))
	o.observe(there, 300*time.Millisecond)
	o.check(p.hostB.Engine.Start(o.ctx))
	o.observe(back, 300*time.Millisecond)

	// Newcomers on the network that the old engines made.
	for i, h := range o.Hosts {
		c := o.run(h, fmt.Sprintf("cc%d", i+1), 1, 21+i)
		o.reaches(c, p.toA)
		o.reaches(c, p.toB)
	}
	o.lossless(there)
	o.lossless(back)
	for i, h := range o.Hosts {
		o.check(h.Container(fmt.Sprintf("cc%d", i+1)).Remove(o.ctx))
	}
	o.check(p.a.Remove(o.ctx))
	o.check(p.b.Remove(o.ctx))
	o.removesCleanly(1)
}

// Without it, containers end with their engine. Their network is there when they are started again.
func TestRestartEngine(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	p := o.runPair()
	end := map[string]func(*lab.Daemon) error{
		"stopped": func(d *lab.Daemon) error { return d.Stop(o.ctx) },
		"killed":  func(d *lab.Daemon) error { return d.Kill(o.ctx) },
	}
	for _, how := range []string{"stopped", "killed"} {
		o.check(end[how](p.hostA.Engine))
		o.check(p.hostA.Engine.Start(o.ctx))
		if state := o.must(p.a.Inspect(o.ctx, "{{.State.Status}}")); state != "exited" {
			t.Errorf("engine was %s: container is %s", how, state)
		}
		o.must(p.hostA.Docker(o.ctx, "start", p.a.Name))
		o.reaches(p.a, p.toB)
		o.reaches(p.b, p.toA)
		c := o.run(p.hostA, "new-"+how, 1, 21)
		o.reaches(c, p.toB)
		o.check(c.Remove(o.ctx))
	}
	o.check(p.a.Remove(o.ctx))
	o.check(p.b.Remove(o.ctx))
	o.removesCleanly(1)
}

// removesCleanly removes a network without containers from all hosts, after which falcon has nothing left of it.
func (o overlay) removesCleanly(number int) {
	o.t.Helper()
	for _, h := range o.Hosts {
		if s := o.status(h); len(s.Networks) != 1 || len(s.Networks[0].Endpoints) != 0 || len(s.Degraded) != 0 {
			o.t.Errorf("falcon on %s before the removal of its last network: %+v", h.Name, s)
		}
		o.must(h.Docker(o.ctx, "network", "rm", networkName(number)))
	}
	o.nothingLeft(5 * time.Second)
}
