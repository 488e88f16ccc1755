package subject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// Bed is the two hosts. Traffic goes from the sender to the receiver; what is measured is the receiver. It is for one
// goroutine at a time.
type Bed struct {
	Sender, Receiver *lab.Host
	Cores            Cores

	lab      *lab.Lab
	subjects []Subject
	tunnels  map[string]load.Tunnel // of the networks, by name
	places   map[placeKey]Place     // those made so far

	rps    setting // on both hosts' devices of the overlay
	rules  setting // both hosts' netfilter has those of their engines
	saved  map[*lab.Host]ruleSet
	driver string // the flag with which falcon runs; of a mode
}

// setting is one of the machine's that subjects differ in.
type setting uint8

const (
	unknown setting = iota // setting it failed half-way
	off
	on
)

func settingOf(is bool) setting {
	if is {
		return on
	}
	return off
}

// Open makes the hosts, joins their engines to a swarm and creates a network of each kind, with a place on either host.
// The caller closes it.
func Open(ctx context.Context) (*Bed, error) {
	cores, err := findCores()
	if err != nil {
		return nil, fmt.Errorf("open bed: %w", err)
	}
	l, err := lab.Start(ctx, lab.Options{Hosts: 2, Docker: &lab.DockerOptions{}, Falcon: &lab.FalconOptions{}, Etcd: true})
	if err != nil {
		return nil, fmt.Errorf("open bed: %w", err)
	}
	b := &Bed{
		Sender: l.Hosts[0], Receiver: l.Hosts[1], Cores: cores, lab: l,
		subjects: candidates(), tunnels: map[string]load.Tunnel{}, places: map[placeKey]Place{},
		rps: off, rules: on, saved: map[*lab.Host]ruleSet{},
	}
	if err := b.furnish(ctx); err != nil {
		return nil, fmt.Errorf("open bed: %w", errors.Join(err, b.Close()))
	}
	return b, nil
}

// furnish makes what the subjects need.
func (b *Bed) furnish(ctx context.Context) error {
	// Without it a veth does not receive in NAPI, as a NIC's driver does. Both, so that the hosts are alike.
	for _, h := range b.hosts() {
		if err := load.EnableGRO(load.Device{Namespace: h.Namespace(""), Name: NIC}); err != nil {
			return err
		}
	}
	if err := b.createSwarm(ctx); err != nil {
		return err
	}
	if err := b.createFalcon(ctx); err != nil {
		return err
	}
	for _, s := range b.subjects {
		if s.Missing != "" {
			continue
		}
		for _, h := range b.hosts() {
			if _, err := b.Place(ctx, s, h, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// NIC is the hosts' network device.
const NIC = "eth0"

func (b *Bed) hosts() []*lab.Host { return []*lab.Host{b.Sender, b.Receiver} }

// other is the host that is not h.
func (b *Bed) other(h *lab.Host) *lab.Host {
	if h == b.Sender {
		return b.Receiver
	}
	return b.Sender
}

// onHosts does the same on both hosts at once.
func (b *Bed) onHosts(ctx context.Context, do func(context.Context, *lab.Host) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range b.hosts() {
		g.Go(func() error { return do(ctx, h) })
	}
	return g.Wait()
}

// Close ends all. It is idempotent.
func (b *Bed) Close() error { return b.lab.Close() }

// Subjects are all of them, those that are missing included, in the order in which they are measured.
func (b *Bed) Subjects() []Subject { return slices.Clone(b.subjects) }

// Only leaves out all subjects but some.
func (b *Bed) Only(names []string) error {
	var known []string
	for _, s := range b.subjects {
		known = append(known, s.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("subject %q: must be of %s", name, strings.Join(known, ", "))
		}
	}
	for i, s := range b.subjects {
		if !slices.Contains(names, s.Name) {
			b.subjects[i].Missing = "left out of this run"
		}
	}
	return nil
}

// Enter makes the machine ready for a subject and undoes what another one's Enter did. It costs nothing when the subject
// has been entered already.
func (b *Bed) Enter(ctx context.Context, s Subject) error {
	if s.Missing != "" {
		return fmt.Errorf("enter %s: %s", s.Name, s.Missing)
	}
	if want := settingOf(s.kind.rps); b.rps != want {
		if err := b.setRPS(ctx, want); err != nil {
			return fmt.Errorf("enter %s: %w", s.Name, err)
		}
	}
	if want := settingOf(!s.kind.bare); b.rules != want {
		if err := b.setRules(ctx, want); err != nil {
			return fmt.Errorf("enter %s: %w", s.Name, err)
		}
	}
	// What is at the NIC's driver, and the offloads that it does without, matter to all subjects.
	if want := s.kind.falcon.driverFlag(); b.driver != want {
		if err := b.setDriver(ctx, want); err != nil {
			return fmt.Errorf("enter %s: %w", s.Name, err)
		}
	}
	return nil
}
