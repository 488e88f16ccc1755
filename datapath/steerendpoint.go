package datapath

import (
	"context"
	"errors"
	"fmt"
)

// steeredEndpoint is what has been done to an endpoint's devices. As long as it is what is wanted, they need not be looked at.
type steeredEndpoint struct {
	endpoint Endpoint
	host     link
	line     CPUSet // empty: nothing is to be steered, and everything was taken off
}

// as tells whether the same was done to the same devices.
func (e steeredEndpoint) as(o steeredEndpoint) bool {
	return e.host.index == o.host.index && e.endpoint.Sandbox == o.endpoint.Sandbox && e.line == o.line
}

// steerEndpoint makes an endpoint's devices take packets on the core that was chosen, or ends that.
func (d *Datapath) steerEndpoint(ctx context.Context, e Endpoint, host link) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	network, known := s.networks[e.VNI]
	if !known {
		return
	}
	want := steeredEndpoint{endpoint: e, host: host}
	do := d.unsteerVeth
	if network.mode.steered() {
		want.line, do = s.line.all, d.steerVeth
	}
	if was, ok := s.endpoints[e.ID]; ok && was.as(want) {
		return
	}
	complete, err := do(ctx, e, host)
	if err == nil && complete {
		s.endpoints[e.ID] = want
	}
	d.noteSteering(problemOf(e.ID), err)
}

func problemOf(id string) string { return "endpoint " + shortID(id) }

// forgetEndpoint is for one whose devices are gone.
func (d *Datapath) forgetEndpoint(id string) {
	d.steer.mu.Lock()
	defer d.steer.mu.Unlock()
	delete(d.steer.endpoints, id)
	d.noteSteering(problemOf(id), nil)
}

// steerVeth works from the host inwards. The container's end is on the host until Docker moves it, which it does some time after
// it has named the sandbox: until then more is to be done.
func (d *Datapath) steerVeth(ctx context.Context, e Endpoint, host link) (complete bool, err error) {
	s := d.steer
	if _, err := d.rt.attachTC(ctx, hook{host.index, true}, s.programs.objects.FalconHost, nameHost); err != nil {
		return false, err
	}
	complete = e.Sandbox == ""
	err = d.atContainerEnd(ctx, e, host, func(at containerEnd) error {
		complete = complete || at.inside
		if err := at.setRPS(s.line.all); err != nil || !at.inside {
			return err
		}
		_, err := at.rt.attachTC(ctx, hook{device: at.index}, s.programs.objects.FalconArrival, nameArrival) // the move would have lost it
		return err
	})
	return complete, err
}

func (d *Datapath) unsteerVeth(ctx context.Context, e Endpoint, host link) (complete bool, err error) {
	err = d.atContainerEnd(ctx, e, host, func(at containerEnd) error {
		return errors.Join(at.setRPS(CPUSet{}), at.rt.detachTC(ctx, hook{device: at.index}, nameArrival))
	})
	return true, errors.Join(err, d.rt.detachTC(ctx, hook{host.index, true}, nameHost))
}

// containerEnd is the container's end of a veth, wherever it is.
type containerEnd struct {
	index  int
	name   string
	inside bool  // the container
	rt     *rtnl // of the namespace that it is in
	setRPS func(mask CPUSet) error
	run    func(func() error) error // on a thread in that namespace
}

// atContainerEnd works on it. One that is nowhere is left out.
func (d *Datapath) atContainerEnd(ctx context.Context, e Endpoint, host link, work func(containerEnd) error) error {
	end, err := d.rt.linkByName(ctx, ContainerDevice(e.ID))
	switch {
	case err == nil:
		return work(containerEnd{
			end.index, end.name, false, d.rt, func(mask CPUSet) error { return d.setHostRPS(ctx, end.name, mask) },
			func(f func() error) error { return d.inHost(ctx, f) },
		})
	case !errors.Is(err, errNoLink):
		return err
	case e.Sandbox == "":
		return nil
	}
	ns, err := d.root.openSandbox(e.Sandbox)
	if errors.Is(err, ErrSandboxGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	rt, err := openRTNL(ns)
	if err != nil {
		return err
	}
	defer rt.Close()
	if end, err = rt.linkByIndex(ctx, host.peer); err != nil {
		return err
	}
	return work(containerEnd{end.index, end.name, true, rt, func(mask CPUSet) error {
		_, err := setRPSIn(ctx, ns, end.name, mask)
		return err
	}, func(f func() error) error { return inNetns(ns, f) }})
}

// setHostRPS is setRPS for a device in the host's namespace.
func (d *Datapath) setHostRPS(ctx context.Context, device string, mask CPUSet) error {
	fs, err := d.sysfs.open(d.netns)
	if err != nil {
		return fmt.Errorf("set RPS of device %s: %w", device, err)
	}
	_, err = fs.setRPS(ctx, device, mask)
	return err
}
