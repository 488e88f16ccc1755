package recovery

import (
	"testing"
	"time"

	"falcon/tests/lab"
)

const moves = 10

// A container that is removed on one host and made anew on another keeps its address, and is reached at its new
// place from the first packet on, from everywhere: also by those who have just talked to the old place.
func TestContainerMoves(t *testing.T) {
	t.Parallel()
	o := newLab(t, lab.Options{Hosts: 3, Docker: &lab.DockerOptions{}, Falcon: falconOptions(), Etcd: true})
	o.createNetwork(1)
	var pingers []*lab.Pinger
	to := address(1, 100)
	mover := o.run(o.Hosts[0], "mover", 1, 100)
	for i, h := range o.Hosts {
		pingers = append(pingers, o.ping(o.run(h, "observer", 1, 11+i), to))
	}
	for i := range moves {
		o.check(mover.Remove(o.ctx))
		mover = o.run(o.Hosts[(i+1)%2], "mover", 1, 100)
		there := time.Now()
		for _, p := range pingers {
			o.observe(p, 200*time.Millisecond)
		}
		until := time.Now().Add(-100 * time.Millisecond)
		for i, p := range pingers {
			if r := p.Result(there, until); len(r.Lost) > 0 {
				t.Errorf("move %d: observer on %s lost packets: %v", i, o.Hosts[i].Name, r)
			}
		}
	}
	o.settles(5 * time.Second)
}
