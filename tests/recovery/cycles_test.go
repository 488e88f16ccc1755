package recovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"falcon/tests/lab"
)

// Containers that come and go, by the protocol alone and by engines: 500 in all.
const (
	warmupCycles = 20  // per host, before resources are counted
	calmCycles   = 60  // per host, with nobody killed
	stormCycles  = 140 // per host, under kills
	dockerCycles = 30  // per host, under kills
)

// Whatever is created and deleted, in whatever order, and however often falcon is killed in between: in the end
// nothing is left of it, and falcon has not grown. RECOVERY_SEED repeats a run's random choices.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("RECOVERY_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("RECOVERY_SEED=%d", seed)
	o.usable(1) // engines make what they keep, such as docker_gwbridge

	o.cycles(seed, warmupCycles)
	mounts := o.onHosts(o.mounts) // with /run/netns, which the first `ip netns` of the cycles mounts for good
	before := o.usages()
	o.cycles(seed+1, calmCycles)
	o.nothingLeft(5 * time.Second)
	o.doesNotGrow(before)

	stop := o.killAtRandom(seed)
	o.storm(seed + 2)
	t.Logf("falcon was killed %d times", stop())
	for _, h := range o.Hosts {
		o.clearEngine(h)
	}
	o.nothingLeft(collected)
	for _, mount := range o.onHosts(o.mounts) {
		if !slices.Contains(mounts, mount) {
			t.Errorf("left mounted: %s", mount)
		}
	}
}

// onHosts asks the same of all hosts.
func (o overlay) onHosts(ask func(*lab.Host) string) []string {
	var answers []string
	for _, h := range o.Hosts {
		for line := range strings.Lines(ask(h)) {
			answers = append(answers, h.Name+" "+strings.TrimSpace(line))
		}
	}
	return answers
}

func (o overlay) mounts(h *lab.Host) string {
	return o.must(h.Exec(o.ctx, "findmnt", "--list", "--noheadings", "--output", "TARGET,FSTYPE"))
}

// cycles has one worker per host go through cycles, with nothing in their way.
func (o overlay) cycles(seed uint64, count int) {
	o.t.Helper()
	var g errgroup.Group
	for i, h := range o.Hosts {
		w := newWorker(o.ctx, h, rand.New(rand.NewPCG(seed, uint64(i))))
		g.Go(func() error { return w.run(count, func(err error) error { return err }) })
	}
	o.check(g.Wait())
}

// storm has workers and engines go through cycles. What fails is given up.
func (o overlay) storm(seed uint64) {
	o.t.Helper()
	var g errgroup.Group
	var failed atomic.Int64
	giveUp := func(err error) error {
		if errors.Is(err, errRefused) {
			failed.Add(1)
			return nil
		}
		return err
	}
	for i, h := range o.Hosts {
		w := newWorker(o.ctx, h, rand.New(rand.NewPCG(seed, uint64(i))))
		g.Go(func() error { return w.run(stormCycles, giveUp) })
		r := rand.New(rand.NewPCG(seed, uint64(100+i)))
		g.Go(func() error { return o.dockerCycles(h, r, &failed) })
	}
	o.check(g.Wait())
	o.t.Logf("%d requests failed", failed.Load())
}

// killAtRandom kills a random host's falcon at random moments and starts it again at once, until the function
// that it returns is called, which tells how often it did.
func (o overlay) killAtRandom(seed uint64) (stop func() int) {
	ctx, cancel := context.WithCancel(o.ctx)
	r := rand.New(rand.NewPCG(seed, 1000))
	count, done := 0, make(chan error, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-time.After(time.Duration(200+r.IntN(1000)) * time.Millisecond):
			}
			d := o.Hosts[r.IntN(len(o.Hosts))].Plugin
			if err := errors.Join(d.Kill(o.ctx), d.Start(o.ctx)); err != nil {
				done <- err
				return
			}
			count++
		}
	}()
	return func() int {
		cancel()
		o.check(<-done)
		return count
	}
}

// dockerCycles has an engine go through networks and containers. What fails is left for clearEngine.
func (o overlay) dockerCycles(h *lab.Host, r *rand.Rand, failed *atomic.Int64) error {
	try := func(args ...string) error {
		_, err := h.Docker(o.ctx, args...)
		if err != nil {
			failed.Add(1)
		}
		return o.ctx.Err()
	}
	number := 0
	for i := range dockerCycles {
		if i%perNetwork == 0 {
			number = 10 + i/perNetwork
			if err := try(createArgs(number)...); err != nil {
				return err
			}
		}
		name := fmt.Sprintf("cycle%d", i)
		if err := try("run", "--detach", "--name", name, "--network", networkName(number), lab.ImageName); err != nil {
			return err
		}
		if r.IntN(4) == 0 {
			continue // to be removed later
		}
		if err := try("rm", "--force", name); err != nil {
			return err
		}
	}
	return nil
}

// perNetwork is how many containers an engine has in one network, one after the other.
const perNetwork = 6

// clearEngine removes all containers and falcon networks. It must succeed: nothing fails any more.
func (o overlay) clearEngine(h *lab.Host) {
	o.t.Helper()
	o.must(h.Exec(o.ctx, "sh", "-c", `
		docker ps --all --quiet | xargs --no-run-if-empty docker rm --force
		docker network ls --quiet --filter driver=falcon | xargs --no-run-if-empty docker network rm`))
}
