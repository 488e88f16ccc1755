package datapath

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// ProbeSteering tries on this kernel what steering needs, in a network namespace that is thrown away and with maps of its own:
// what a daemon has pinned is not looked at.
func (d *Datapath) ProbeSteering(ctx context.Context) []Finding {
	var findings []Finding
	err := inScratch(func(p *Datapath) error {
		findings = p.trySteering(ctx)
		return nil
	})
	if err != nil {
		findings = append(findings, finding("steering", err, needPrivilege))
	}
	return findings
}

// trySteering tries one thing after the other: without programs there is nothing to attach.
func (d *Datapath) trySteering(ctx context.Context) []Finding {
	s, err := trialPrograms()
	findings := []Finding{finding("steering programs", loadError("steering", err), needPrograms)}
	if err == nil {
		findings = append(findings, finding("poll tracepoint", s.tryPolls(),
			"needs the tracepoint napi:napi_poll (CONFIG_BPF_EVENTS) and CAP_PERFMON"))
		hooks, err := d.tryHooks(ctx, s)
		f := finding("steering hooks", err, "needs CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS")
		if err == nil {
			f.Detail = hooks
		}
		findings = append(findings, f)
		if err := s.close(); err != nil {
			findings = append(findings, finding("steering maps", err, "run it again"))
		}
	}
	return append(findings, finding("steering masks", d.tryMasks(ctx), "needs CONFIG_RPS, and a sysfs that can be written to"))
}

// trialPrograms loads the programs and maps the maps, with nothing pinned.
func trialPrograms() (*steering, error) {
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	s := &steering{}
	s.dimension(possible)
	spec, err := s.spec(possible, 0)
	if err != nil {
		return nil, err
	}
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	err = spec.LoadAndAssign(&s.objects, nil)
	if err == nil {
		err = s.share()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// tryPolls attaches the program that counts polls; its own maps count for nobody.
func (s *steering) tryPolls() error {
	l, err := attachPolls(s.objects.FalconPoll)
	if err != nil {
		return err
	}
	return l.Close()
}

// tryHooks attaches a program in each way that devices of a steered network take, and says which ways the kernel has.
func (d *Datapath) tryHooks(ctx context.Context, s *steering) (ways string, err error) {
	loopback, err := d.rt.linkByName(ctx, "lo")
	if err != nil {
		return "", err
	}
	h := hook{device: loopback.index}
	if _, err := d.rt.attachTC(ctx, h, s.objects.FalconHost, nameHost); err != nil {
		return "", err
	}
	ways = "clsact; no TCX, which is in Linux 6.6"
	err = d.inHost(ctx, func() error {
		if !haveTCX() {
			return nil
		}
		ways = "TCX and clsact"
		_, err := h.attachTCX(s.objects.FalconNic, nameNIC)
		return err
	})
	return ways, err
}

// tryMasks sets a mask as steered devices have it.
func (d *Datapath) tryMasks(ctx context.Context) error {
	line, err := readLineup("")
	if err != nil {
		return err
	}
	if err := d.setHostRPS(ctx, "lo", line.all); err != nil {
		return fmt.Errorf("%w (on a loopback device of our own)", err)
	}
	return nil
}
