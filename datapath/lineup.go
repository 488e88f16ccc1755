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
	line, err := readLineup(s.config.CPUs)
	if err == nil && line.all != s.line.all {
		err = d.changeLine(ctx, line)
	} else if err == nil && line.chosen != s.line.chosen {
		s.line, err = line, d.restartBalancer()
	}
	d.noteSteering("CPUs", err)
}

// changeLine gives other CPUs slots, and the devices masks accordingly. Nothing is steered until the balancer has begun anew.
func (d *Datapath) changeLine(ctx context.Context, line lineup) error {
	s := d.steer
	s.programs.reline(ctx, line.all)
	s.line = line
	errs := []error{d.restartBalancer()}
	for vni, n := range s.networks {
		if n.mode.steered() {
			errs = append(errs, d.setHostRPS(ctx, vxlanName(vni), line.all))
		}
	}
	for id, e := range s.endpoints {
		if e.line.IsEmpty() {
			continue
		}
		complete, err := d.steerVeth(ctx, e.endpoint, e.host)
		if err == nil && complete {
			e.line = line.all
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
