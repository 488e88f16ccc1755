package datapath

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// traces lists what steering has left on host b: programs, masks, merging, pins.
func (p *pipeline) traces() (found []string) {
	t := p.b.t
	t.Helper()
	note := func(what string, is bool) {
		if is {
			found = append(found, what)
		}
	}
	for device, name := range map[string]string{"u0": nameNIC, vxlanName(labVNI): nameVXLAN} {
		note(name, p.attached(hook{device: p.b.device(device)}, name))
	}
	note(nameHost, strings.Contains(p.b.sh("tc filter show dev %s egress", hostDevice(p.cb.ID)), nameHost))
	note(nameArrival, strings.Contains(p.cb.sh("tc filter show dev eth0 ingress"), nameArrival))
	for space, device := range map[*space]string{p.b.space: vxlanName(labVNI), p.cb.space: "eth0"} {
		mask := strings.TrimSpace(space.sh("cat /sys/class/net/%s/queues/rx-0/rps_cpus", device))
		note("mask of "+device, strings.Trim(mask, "0,") != "")
	}
	_, err := os.Stat(p.b.steer.config.Pins)
	note("pins", err == nil)
	return found
}

// attached tells whether a program of ours is at a hook, by TCX or by clsact.
func (p *pipeline) attached(h hook, name string) (found bool) {
	p.b.t.Helper()
	ctx := context.Background()
	err := p.b.inHost(ctx, func() error {
		if !haveTCX() {
			filter, err := p.b.rt.findTC(ctx, h, name)
			found = filter != nil
			return err
		}
		prog, _, err := h.findTCX(name)
		if prog != nil {
			found, err = true, prog.Close()
		}
		return err
	})
	if err != nil {
		p.b.t.Fatal(err)
	}
	return found
}

// allTraces is what there is while a network is steered.
const allTraces = 7

// Everything that steering did to the host, but for what GRO does at our own device, is undone when its last network is not steered any more.
func TestSteerIsTakenBack(t *testing.T) {
	p := newPipeline(t, Static)
	if got := p.traces(); len(got) != allTraces {
		t.Fatalf("steered: %q", got)
	}
	p.pass(Off)
	if got := p.traces(); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
	p.pass(Dynamic)
	if got := p.traces(); len(got) != allTraces {
		t.Errorf("steered again: %q", got)
	}
}

// Docker names the sandbox first and moves the device into it afterwards: what belongs to the device is done then.
func TestContainersProgramFollowsTheDevice(t *testing.T) {
	p := newPipeline(t, Static)
	e := endpointN(labVNI, 3)
	c := &container{newSpace(t, "c"), e}
	p.b.ensureEndpoint(e) // CreateEndpoint
	e.Sandbox = c.path()
	p.b.ensureEndpoint(e) // Join
	p.b.ip("link set %s netns %s name eth0", ContainerDevice(e.ID), c.name)
	c.ip("link set eth0 up")
	for range 2 { // the kernel's event, and the timer
		p.b.ensureEndpoint(e)
	}
	if out := c.sh("tc filter show dev eth0 ingress"); !strings.Contains(out, nameArrival) {
		t.Errorf("%s is not in the container: %s", nameArrival, out)
	}
}

// A network that is begun to be steered again while it was being ended is ended with all due care the next time.
func TestSteerEndsAgain(t *testing.T) {
	p := newPipeline(t, Static)
	p.b.ensureNetwork(p.network(Off))
	p.pass(Static)
	p.b.ensureNetwork(p.network(Off))
	if p.b.steer.programs == nil {
		t.Fatal("programs are gone before the endpoint had its turn")
	}
	p.pass(Off)
	if got := p.traces(); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// With the network's devices, what the programs know of it goes, and with the last network the programs.
func TestSteerEndsWithItsNetwork(t *testing.T) {
	p := newPipeline(t, Static)
	ctx := context.Background()
	for _, err := range []error{p.b.RemoveEndpoint(ctx, p.cb.ID), p.b.RemoveNetwork(ctx, labVNI)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if s := p.b.steer; s.programs != nil || len(s.networks)+len(s.endpoints)+len(s.problems) > 0 {
		t.Errorf("left: %d networks, %d endpoints, problems %v", len(s.networks), len(s.endpoints), s.problems)
	}
	if _, err := os.Stat(p.b.steer.config.Pins); !os.IsNotExist(err) {
		t.Errorf("pins: %v", err)
	}
}

// A daemon that is started anew goes on with flows where they are, in order and without a loss but for what a reader that gets no
// time leaves in its socket, also when it was killed.
func TestSteerSurvivesRestart(t *testing.T) {
	p := newPipeline(t, Dynamic)
	p.place(1) // vxlan stage on slot 1, container stage on slot 0
	traffic := p.traffic(8, 30_000)
	time.Sleep(300 * time.Millisecond)
	for range 3 {
		p.restart()
		p.pass(Dynamic)
		ctx, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
		if err := p.b.Balance(ctx); err != nil {
			t.Error(err)
		}
		stop()
	}
	traffic.stop(t).check(t)
	if problems := p.b.SteeringStatus(context.Background()).Problems; len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
}

// When CPUs come and go, slots change under the flows.
func TestSteerFollowsCPUs(t *testing.T) {
	p := newPipeline(t, Static)
	g, r := p.generator(8), p.reader(8)
	stop := p.keepFresh()
	defer stop()
	both := p.b.steer.line
	one := both
	one.all = NewCPUSet(p.nic)
	one.chosen = one.all
	for i, line := range []lineup{one, both, one, both} {
		s := p.b.steer
		s.mu.Lock()
		err := p.b.changeLine(context.Background(), line)
		s.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		place := uint32(slotInline | slotInline<<16)
		if line.all.Len() > 1 {
			place = 1
		}
		p.place(place)
		before := p.counts()
		sent, got := p.sendSome(g, r, 50_000, 200*time.Millisecond)
		if n := got.Total(); n.Received+got.Dropped != sent || n.Reordered > 0 { // dropped by a reader that got no time
			t.Errorf("change %d: sent %d, received %d, dropped %d, reordered %d", i, sent, n.Received, got.Dropped, n.Reordered)
		}
		p.checkStages(t, before, place, sent)
	}
}
