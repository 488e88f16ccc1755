package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// stages measures what a packet costs up to each stage of the receive path: packets are offered as fast as can be and
// dropped at the stage, and the time that the NIC's core spent in the receive path is divided by their number. That is the
// whole cost as long as all of it is inline on this core. Stages that packets come to by another core are listed as missing
// (cost has what all cores together spend).
//
// Each stage must have dropped, and each socket received or dropped, exactly as many packets as were sent.
func stages(ctx context.Context, e *Env) error { return e.Rounds(ctx, stagesTurn) }

func stagesTurn(ctx context.Context, c *Cell) (failure error) {
	if c.Subject.TakesFrames() {
		c.Missing(c.Subject.Name, "packets are taken before the first stage")
		return nil
	}
	l, err := shortPackets(ctx, c)
	if err != nil {
		return err
	}
	path, err := c.Bed.ReceivePath(ctx, l.Paths[0].To)
	if err != nil {
		return err
	}
	rig, err := c.openUDP(ctx, l)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	s := &stageRig{Cell: c, rig: rig}
	if s.config, err = c.frames(l.Paths); err != nil {
		return err
	}
	s.config.Payload = l.Payload
	return s.measureAll(ctx, path)
}

// stageRig measures one subject's stages in their order.
type stageRig struct {
	*Cell
	rig    *udpRig
	config load.Config // of the rig's generator
	hopped bool        // packets change core before the stage at hand
}

// measureAll goes from stage to stage, as far as packets stay on the NIC's core.
func (s *stageRig) measureAll(ctx context.Context, path []subject.Stage) error {
	for i, at := range path {
		name := fmt.Sprintf("%d %s", i+1, at.Name)
		if err := s.measure(ctx, name, at); err != nil {
			return fmt.Errorf("stage %s: %w", at.Name, err)
		}
		if s.hopped {
			s.Missing(s.Subject.Name, "from "+name+" on: packets change core before it")
			return nil
		}
	}
	if err := s.measureSocket(ctx); err != nil {
		return fmt.Errorf("stage socket: %w", err)
	}
	return nil
}

// Several short runs tell more than a long one: what disturbs one leaves the others alone.
const (
	stageRuns   = 3
	stageLength = 100 * time.Millisecond
)

// measure drops packets at the ingress of a device.
func (s *stageRig) measure(ctx context.Context, name string, at subject.Stage) (failure error) {
	d, err := load.NewDropPoint(s.config, at.At, at.Decapsulated)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, d.Close()) }()
	var before uint64
	for range stageRuns {
		run, err := s.rig.run(ctx, 0, stageLength)
		if err != nil {
			return err
		}
		byCore, err := d.Dropped()
		if err != nil {
			return err
		}
		all := sum(byCore)
		if all-before == 0 && run.Total().Received > 0 {
			s.Missing(s.Subject.Name, name+": packets take another way")
			return nil
		}
		if s.hopped = share(all-byCore[s.Bed.Cores.NIC], all) > mostHopped; s.hopped {
			return nil
		}
		if err := s.note(name, run.Sent, all-before); err != nil {
			return err
		}
		before = all
	}
	return nil
}

// mostHopped is the share of packets on other cores from which on a stage's cost is not that of the NIC's core.
const mostHopped = 0.01

// measureSocket lets all packets come to the reader. Nothing on the way from the last device to the socket changes core.
func (s *stageRig) measureSocket(ctx context.Context) error {
	for range stageRuns {
		run, err := s.rig.run(ctx, 0, stageLength)
		if err != nil {
			return err
		}
		if err := s.note(socketStage, run.Sent, run.Total().Received+run.Readers[0].Dropped); err != nil {
			return err
		}
	}
	return nil
}

const socketStage = "4 socket"

// note notes a run of which so many packets came to a stage.
func (s *stageRig) note(stage string, sent load.Sent, arrived uint64) error {
	if arrived != sent.Packets() {
		return fmt.Errorf("%d packets of %d that were sent", arrived, sent.Packets())
	}
	if arrived == 0 {
		return errNothing
	}
	s.Add(Metric{stage, "cumulative cost", "ns", false}, float64(sent.Receiving)/float64(arrived))
	s.Add(Metric{stage, "packets sent", "packets", true}, float64(sent.Packets()))
	s.Add(Metric{stage, "packets sent but not counted here", "packets", false}, float64(sent.Packets()-arrived))
	return nil
}

func sum(values []uint64) (all uint64) {
	for _, v := range values {
		all += v
	}
	return all
}
