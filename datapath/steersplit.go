package datapath

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/safchain/ethtool"
)

// splitProblem is what its problems are listed under.
const splitProblem = "splitting the first stage"

// Split says whether the first stage of TCP flows may be split from now on. What is to be done for it is done when the next
// steered network is looked at.
func (d *Datapath) Split(on bool) {
	d.steer.mu.Lock()
	defer d.steer.mu.Unlock()
	d.steer.config.Split = on
}

// ensureSplit splits at the underlay's device, or ends that. It keeps nothing else from working.
func (d *Datapath) ensureSplit(ctx context.Context, device int) {
	s := d.steer
	err := func() error {
		if !s.config.Split {
			return d.endSplit(ctx)
		}
		if s.programs.split != nil && s.programs.split.device == device {
			return nil
		}
		return d.beginSplit(ctx, device)
	}()
	d.noteSteering(splitProblem, err)
}

// beginSplit goes on where an earlier run has stopped, if one has.
func (d *Datapath) beginSplit(ctx context.Context, device int) error {
	s := d.steer
	nic, err := d.linkByIndex(ctx, device)
	if err != nil {
		return err
	}
	if err := d.splitObstacle(ctx, nic); err != nil {
		return errors.Join(err, d.endSplit(ctx))
	}
	if err := d.openSplit(); err != nil {
		return err
	}
	if err := s.programs.split.serve(s.line.all); err != nil {
		return errors.Join(err, d.endSplit(ctx))
	}
	if err := d.inHost(ctx, func() error { return s.programs.split.attach(nic, s.config.Pins) }); err != nil {
		return errors.Join(refusal(nic, err), d.endSplit(ctx))
	}
	return d.restartBalancer()
}

func (d *Datapath) openSplit() error {
	s := d.steer
	if s.programs.split != nil {
		return nil
	}
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return s.programs.openSplit(s.config.Pins, possible, s.config.Port)
}

// endSplit lets frames come back to where they come in, and takes everything off.
func (d *Datapath) endSplit(ctx context.Context) error {
	s := d.steer
	if s.programs.split == nil {
		_, err := os.Stat(filepath.Join(s.config.Pins, splitMapThreads))
		if err != nil {
			return nil // an earlier run did not split
		}
		if err := d.openSplit(); err != nil {
			return err
		}
	}
	s.programs.recall()
	s.programs.drain(ctx, s.programs.away)
	return errors.Join(s.programs.removeSplit(s.config.Pins), d.restartBalancer())
}

func (d *Datapath) linkByIndex(ctx context.Context, index int) (link, error) {
	list, err := d.rt.links(ctx)
	if err != nil {
		return link{}, err
	}
	for _, l := range list {
		if l.index == index {
			return l, nil
		}
	}
	return link{}, fmt.Errorf("device number %d: %w", index, errNoLink)
}

// SplitObstacle says why packets that come in at a device cannot be split, as far as can be told without trying; nil: nothing is
// known.
func (d *Datapath) SplitObstacle(ctx context.Context, device string) error {
	nic, err := d.rt.linkByName(ctx, device)
	if err != nil {
		return err
	}
	return d.splitObstacle(ctx, nic)
}

// splitObstacle looks for what would make split packets lose something, which no kernel refuses.
func (d *Datapath) splitObstacle(ctx context.Context, nic link) error {
	merges, err := cpuMapMerges()
	if err != nil {
		return fmt.Errorf("look for GRO behind cpumap: %w", err)
	}
	if !merges {
		return errors.New("this kernel does not merge packets behind cpumap (that came with 6.15), so splitting would cost more than it wins")
	}
	return d.driverObstacle(ctx, nic)
}

// driverObstacle looks for what a packet would lose for good if a program took its frame at the driver.
func (d *Datapath) driverObstacle(ctx context.Context, nic link) error {
	return d.withFeatures(ctx, nic.name, func(_ *ethtool.Ethtool, has map[string]bool) error {
		switch {
		case has[vlanFeature]:
			return fmt.Errorf("%s strips VLAN tags, and frames that are taken at its driver would lose them for good: ethtool -K %s rxvlan off",
				nic.name, nic.name)
		case nic.kind == kindVeth && has[checksumFeatures[0]]:
			return fmt.Errorf("%s is a veth, whose other end may leave checksums to be computed here, and frames that are taken at its driver "+
				"would lose the note of it: at both ends, ethtool -K %s tx off", nic.name, nic.name)
		}
		return nil
	})
}

const vlanFeature = "rx-vlan-hw-parse"

// cpuMapMerges tells whether the kernel's cpumap does GRO. It is asked again and again where it does not, and to read the
// kernel's types takes a while.
var cpuMapMerges = sync.OnceValues(func() (bool, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false, err
	}
	var entry *btf.Struct
	if err := kernel.TypeByName("bpf_cpu_map_entry", &entry); err != nil {
		return false, err
	}
	for _, m := range entry.Members {
		if m.Name == "gro" {
			return true, nil
		}
	}
	return false, nil
})
