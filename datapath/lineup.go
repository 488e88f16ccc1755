package datapath

import (
	"context"
	"errors"
	"fmt"
)

// lineup is the CPUs that have a part in steering.
type lineup struct {
	machine Topology
	// all have slots, and are in the RPS masks: also those that no packet is sent to, for packets come in there, and have to
	// be able to stay until those before them have gone on (see bpf/order.h).
	all CPUSet
	// chosen are those that packets may be sent to.
	chosen CPUSet
}

// CheckCPUs judges a list of CPUs that packets are to be steered to, on this machine as it is.
func CheckCPUs(list string) error {
	want, err := parseChoice(list)
	if err != nil {
		return err
	}
	t, err := ReadTopology("")
	if err != nil {
		return err
	}
	return t.checkChoice(want)
}

// parseChoice reads such a list; an empty one leaves the choice to us.
func parseChoice(list string) (CPUSet, error) {
	if list == "" {
		return CPUSet{}, nil
	}
	set, err := ParseCPUList(list)
	if err == nil && set.IsEmpty() {
		err = errors.New("names no CPU: want a list such as 2-7,10")
	}
	return set, err
}

// checkChoice refuses CPUs that RPS cannot send packets to.
func (t Topology) checkChoice(want CPUSet) error {
	if _, err := t.Steerable(want); err != nil {
		return err
	}
	if apart := want.Intersect(t.Isolated.Union(t.NoHZFull)); !apart.IsEmpty() {
		return fmt.Errorf("CPUs %s are isolated (isolcpus or nohz_full), which the kernel's packet steering leaves out: want some of %s",
			apart, t.Online.Minus(t.Isolated).Minus(t.NoHZFull))
	}
	return nil
}

// readLineup reads the machine as it is now. Of the CPUs that were listed some may be offline: if all are, the choice is ours.
func readLineup(list string) (lineup, error) {
	want, err := parseChoice(list)
	if err != nil {
		return lineup{}, err
	}
	t, err := ReadTopology("")
	if err != nil {
		return lineup{}, err
	}
	return lineUp(t, want)
}

func lineUp(t Topology, want CPUSet) (lineup, error) {
	all, err := t.Steerable(CPUSet{})
	if err != nil {
		return lineup{}, err
	}
	chosen := want.Intersect(all)
	if chosen.IsEmpty() {
		chosen = all
	}
	return lineup{machine: t, all: all, chosen: chosen}, nil
}

// followCPUs makes the devices of steered networks follow the machine when a CPU came or went.
func (d *Datapath) followCPUs(ctx context.Context) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return
	}
	d.noteSteering("CPUs", d.catchUp(ctx))
}

// catchUp changes the line-up until it is that of the machine, which may go on changing: masks that lack a CPU since are not those
// that slots were made for.
func (d *Datapath) catchUp(ctx context.Context) error {
	s := d.steer
	var tried CPUSet
	var failure error
	for {
		line, err := readLineup(s.config.CPUs)
		switch {
		case err != nil:
			return err
		case line.all != s.programs.linedUp() && line.all != tried:
			tried, failure = line.all, d.changeLine(ctx, line)
		case line.chosen != s.line.chosen:
			s.line = line
			return errors.Join(failure, d.restartBalancer())
		default:
			return failure
		}
	}
}

// changeLine gives other CPUs slots, and the devices masks accordingly. Nothing is steered until the balancer has begun anew.
func (d *Datapath) changeLine(ctx context.Context, line lineup) error {
	s := d.steer
	err := s.programs.reline(ctx, line, func() error {
		s.line = line
		return errors.Join(s.programs.split.serve(line.all), d.setMasks(ctx))
	})
	return errors.Join(err, d.restartBalancer())
}

// setMasks makes all devices of steered networks steer to the CPUs of the line-up.
func (d *Datapath) setMasks(ctx context.Context) error {
	s := d.steer
	var errs []error
	for vni, n := range s.networks {
		if n.mode.steered() {
			errs = append(errs, d.setHostRPS(ctx, vxlanName(vni), s.line.all))
		}
	}
	for id, e := range s.endpoints {
		if e.line.IsEmpty() {
			continue
		}
		complete, err := d.steerVeth(ctx, e.endpoint, e.host)
		if err == nil && complete {
			e.line = s.line.all
			s.endpoints[id] = e
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// restartBalancer has the loop begin anew, with the machine as it is.
func (d *Datapath) restartBalancer() error {
	s := d.steer
	if s.balancer == nil {
		return nil
	}
	err := s.balancer.close()
	s.balancer = nil
	return err
}
