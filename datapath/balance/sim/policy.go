package sim

import (
	"time"

	"falcon/datapath/balance"
)

// Policy is a way to place packets.
type Policy string

// The policies that can be compared.
const (
	Off     Policy = "off"
	Static  Policy = "static"
	Dynamic Policy = "dynamic"
	Paper   Policy = "paper"
)

// policy is one at work. target answers per packet, as the kernel does.
type policy interface {
	tick(*run)
	step(*run)
	drained(r *run, flow int) // nothing of a flow waits for its container stage
	target(r *run, flow, stage, on int) int
}

func (p Policy) start(s Scenario) policy {
	switch p {
	case Static:
		return newStatic(s)
	case Dynamic:
		return newDynamic(s)
	case Paper:
		return newPaper(s)
	default:
		return off{}
	}
}

// off leaves every packet where it is.
type off struct{}

func (off) tick(*run)                       {}
func (off) step(*run)                       {}
func (off) drained(*run, int)               {}
func (off) target(_ *run, _, _, on int) int { return on }

// static hashes.
type static struct {
	primary, alternate [balance.Buckets]balance.Placement
}

func newStatic(s Scenario) *static {
	st := &static{}
	m := s.Shape.Machine()
	for b := range balance.Buckets {
		st.primary[b], st.alternate[b] = balance.Static(m, b)
	}
	return st
}

func (*static) tick(*run)         {}
func (*static) step(*run)         {}
func (*static) drained(*run, int) {}

func (s *static) target(r *run, flow, stage, on int) int {
	f := &r.flows[flow]
	p := s.primary[f.bucket]
	if int(p.VXLAN) == f.spec.NIC {
		p = s.alternate[f.bucket]
	}
	return core1(p, stage, on)
}

func core1(p balance.Placement, stage, on int) int {
	to := p.Container
	if stage == balance.VXLAN {
		to = p.VXLAN
	}
	if to == balance.Inline {
		return on
	}
	return int(to)
}

// migrated counts a change of core of a bucket that has packets.
func (r *run) migrated() {
	r.migrations++
	if r.now > time.Second {
		r.lateMigrations++
	}
}
