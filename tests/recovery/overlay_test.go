// Package recovery tests what becomes of a running overlay when a part of it fails: daemons that are killed,
// hosts that reboot, a store that is away or lost, devices and entries that somebody deletes. It does so with
// real engines in package lab, and looks at the traffic, at the kernel and at the store, not only at answers.
package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"falcon/driver"
	"falcon/tests/lab"
)

const (
	// testLimit is for one test, which ends well within it when nothing hangs.
	testLimit = 6 * time.Minute
	// collected is how long a leftover may stay: the grace period (45 s), a reconcile interval (30 s) before it is
	// seen for the first time and one after the grace, and some for the work.
	collected = 45*time.Second + 2*30*time.Second + 15*time.Second
)

// overlay is a lab with networks that all its hosts share, and a test that uses it.
type overlay struct {
	*lab.Lab
	t   testing.TB
	ctx context.Context
}

// newOverlay makes a lab of hosts with an engine and a falcon, and, unless the options say otherwise, an etcd.
func newOverlay(t testing.TB, docker lab.DockerOptions) overlay {
	t.Helper()
	return newLab(t, lab.Options{Docker: &docker, Falcon: falconOptions(), Etcd: true})
}

func newLab(t testing.TB, o lab.Options) overlay {
	t.Helper()
	l := lab.New(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return overlay{Lab: l, t: t, ctx: ctx}
}

// falconOptions take the binary that FALCON_BINARY names, for a try of another one than bin/falcon.
func falconOptions() *lab.FalconOptions {
	return &lab.FalconOptions{Binary: os.Getenv("FALCON_BINARY")}
}

// check fails the test on an error.
func (o overlay) check(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// must returns what a command printed, and fails the test when it failed.
func (o overlay) must(out string, err error) string {
	o.t.Helper()
	o.check(err)
	return out
}

// subnet and subnet6 are those of a network by its number, and address is one in the first.
func subnet(number int) string        { return fmt.Sprintf("10.%d.0.0/24", 100+number) }
func subnet6(number int) string       { return fmt.Sprintf("fd00:%d::/64", 100+number) }
func address(number, last int) string { return fmt.Sprintf("10.%d.0.%d", 100+number, last) }

// networkName is a network's name by its number, for the cluster and for every engine.
func networkName(number int) string { return fmt.Sprintf("net%d", number) }

// createArgs are those of `docker network create` for a network that hosts share, addresses included.
func createArgs(number int) []string {
	name := networkName(number)
	return []string{"network", "create", "--driver", "falcon", "--opt", "falcon.network=" + name,
		"--ipam-driver", "falcon", "--ipam-opt", "falcon.network=" + name,
		"--subnet", subnet(number), "--ipv6", "--subnet", subnet6(number), name}
}

// createNetwork makes a network on all hosts.
func (o overlay) createNetwork(number int) {
	o.t.Helper()
	for _, h := range o.Hosts {
		o.must(h.Docker(o.ctx, createArgs(number)...))
	}
}

// run starts a container with a given address in a network.
func (o overlay) run(h *lab.Host, name string, number, last int, args ...string) lab.Container {
	o.t.Helper()
	c, err := h.RunContainer(o.ctx, name, append(args, "--network", networkName(number), "--ip", address(number, last))...)
	o.check(err)
	return c
}

// pair is a network, a container on each of the first two hosts, and their addresses.
type pair struct {
	a, b         lab.Container
	toA, toB     string
	hostA, hostB *lab.Host
}

// runPair makes network 1 with a container on each host, and sees them reach each other.
func (o overlay) runPair(args ...string) pair {
	o.t.Helper()
	o.createNetwork(1)
	p := pair{hostA: o.Hosts[0], hostB: o.Hosts[1], toA: address(1, 11), toB: address(1, 12)}
	p.a, p.b = o.run(p.hostA, "aa", 1, 11, args...), o.run(p.hostB, "bb", 1, 12, args...)
	o.reaches(p.a, p.toB)
	o.reaches(p.b, p.toA)
	return p
}

// reaches wants the very first packet to be answered.
func (o overlay) reaches(from lab.Container, to string) {
	o.t.Helper()
	out, err := from.Exec(o.ctx, "ping", "-c1", "-w5", to)
	if err != nil {
		o.t.Fatalf("%s does not reach %s: %v\n%s", from.Name, to, err, out)
	}
}

// ping starts pinging; the test's end stops it at the latest.
func (o overlay) ping(from lab.Container, to string) *lab.Pinger {
	o.t.Helper()
	p, err := from.Ping(o.ctx, to)
	o.check(err)
	o.answers(p, 10*time.Second)
	return p
}

// answers waits for an answer to a packet that is sent from now on.
func (o overlay) answers(p *lab.Pinger, within time.Duration) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, within)
	defer cancel()
	o.check(p.AwaitAnswer(ctx, time.Now()))
}

// observe lets a pinger look at a state of things for some time.
func (o overlay) observe(p *lab.Pinger, d time.Duration) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, d+10*time.Second)
	defer cancel()
	o.check(p.AwaitAnswer(ctx, time.Now().Add(d)))
}

// lossless ends a pinger that must have lost nothing.
func (o overlay) lossless(p *lab.Pinger) {
	o.t.Helper()
	r, err := p.Finish()
	o.check(err)
	o.t.Logf("ping %s from %s: %v", p.To, p.From, r)
	if len(r.Lost) > 0 {
		o.t.Errorf("ping %s from %s lost packets: %v", p.To, p.From, r)
	}
}

// eventually wants a condition to become true, and looks the less often the longer it may take: what it asks
// costs time of the machine that the lab needs.
func (o overlay) eventually(within time.Duration, holds func() error) {
	o.t.Helper()
	lab.Eventually(o.t, within, func() error {
		err := holds()
		if err != nil {
			time.Sleep(within / 200)
		}
		return err
	})
}

// status asks a host's falcon.
func (o overlay) status(h *lab.Host) driver.Status {
	o.t.Helper()
	var s driver.Status
	o.check(json.Unmarshal([]byte(o.must(h.Falcon(o.ctx, "status", "--json"))), &s))
	return s
}

// ready waits until a host's falcon has read the store and settled the kernel.
func (o overlay) ready(h *lab.Host) {
	o.t.Helper()
	o.eventually(20*time.Second, func() error {
		if s := o.status(h); !s.Ready {
			return fmt.Errorf("falcon on %s is not ready: %v", h.Name, s.Degraded)
		}
		return nil
	})
}

// usable goes through the life of another network on all hosts, from creation to removal.
func (o overlay) usable(number int) {
	o.t.Helper()
	o.createNetwork(number)
	var containers []lab.Container
	for i, h := range o.Hosts {
		containers = append(containers, o.run(h, fmt.Sprintf("try%d-%s", number, h.Name), number, 11+i))
	}
	for i, c := range containers {
		o.reaches(c, address(number, 11+(i+1)%len(containers)))
	}
	for i, h := range o.Hosts {
		o.check(containers[i].Remove(o.ctx))
		o.must(h.Docker(o.ctx, "network", "rm", networkName(number)))
	}
}
