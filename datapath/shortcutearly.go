package datapath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"falcon/datapath/netdev"
)

const (
	// earlyProblem is what is wrong with taking datagrams at the driver is listed under. They are taken a little later then.
	earlyProblem = "datagrams at the driver"
	// earlyPin is the name of the link that holds the program at the NIC's driver.
	earlyPin = "early"
)

// ensureEarly takes datagrams at the driver of the underlay's device, or ends that. It keeps nothing else from working.
func (d *Datapath) ensureEarly(ctx context.Context, device int) {
	s := d.short
	if p := s.programs; s.config.Early && p.early != nil && time.Since(p.earlySeen) < sourcesLook && attachedTo(p.early) == device {
		return // a pass comes here for each network
	}
	err := func() error {
		if !s.config.Early {
			return s.programs.endEarly(s.config.Pins)
		}
		nic, err := d.rt.linkByIndex(ctx, device)
		if err != nil {
			return err
		}
		if err := d.driverObstacle(ctx, nic); err != nil {
			return errors.Join(err, s.programs.endEarly(s.config.Pins))
		}
		return d.inHost(ctx, func() error { return s.programs.beginEarly(nic, s.config.Pins) })
	}()
	s.programs.earlySeen = time.Now()
	d.noteShortcut(earlyProblem, err)
}

// beginEarly goes on where an earlier run has stopped, if one has.
func (p *shortcutting) beginEarly(nic link, dir string) error {
	if err := p.objects.Nics.Put(uint32(0), shortcutNic{Mac: nic.mac}); err != nil {
		return fmt.Errorf("tell shortcut of %s: %w", nic.name, err)
	}
	if p.early != nil && attachedTo(p.early) == nic.index {
		return nil
	}
	if err := p.closeEarly(); err != nil {
		return err
	}
	l, err := attachDriver(p.objects.FalconEarly, nic.index, filepath.Join(dir, earlyPin))
	if err != nil {
		return refusal(nic, err)
	}
	p.early = l
	return nil
}

// endEarly leaves the driver's frames alone, also those that an earlier run took.
func (p *shortcutting) endEarly(dir string) error {
	err := os.Remove(filepath.Join(dir, earlyPin))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.closeEarly())
}

// closeEarly lets go of the link. What is pinned stays.
func (p *shortcutting) closeEarly() error {
	if p.early == nil {
		return nil
	}
	l := p.early
	p.early = nil
	return l.Close()
}

// takesEarly tells whether an endpoint's datagrams may be taken at the driver. What is steered comes by at falcon_nic.
func (d *Datapath) takesEarly(n Network) bool {
	return d.short.programs.early != nil && !n.Steering.steered()
}

// leaveToSteering has datagrams of a network that is steered left alone at the driver, before they are.
func (d *Datapath) leaveToSteering(n *shortNetwork) error {
	if d.takesEarly(n.network) {
		return nil
	}
	var errs []error
	for mac, e := range n.endpoints {
		e.Early = 0
		errs = append(errs, putEntry(d.short.programs.objects.Endpoints, n.endpoints, mac, e, endpointKey(n.network.VNI, mac)))
	}
	return errors.Join(errs...)
}

// acceptEarly has a container's device take frames without sk_buffs, which the host's end of its veth sends, and tells whether it does.
// A veth sends them if its other end receives in polls, and looks whether that is so when the other end, being up, begins to, or when it goes up
// itself (veth_set_features, veth_open). Both cost packets if any are there, so an end that is up is tried once.
func (d *Datapath) acceptEarly(ctx context.Context, n *shortNetwork, e Endpoint, host link) (bool, error) {
	accepts, err := d.transmitsFrames(ctx, host)
	if _, tried := n.tried[host.index]; err != nil || accepts || tried {
		return accepts, err
	}
	err = d.atContainerEnd(ctx, e, host, func(at containerEnd) error {
		end, err := at.rt.linkByIndex(ctx, at.index)
		if err != nil {
			return err
		}
		if !end.up {
			return d.rt.bounce(ctx, host)
		}
		n.tried[host.index] = struct{}{}
		return at.run(func() error {
			return errors.Join(setFeatures(at.name, map[string]bool{groFeature: false}), setFeatures(at.name, map[string]bool{groFeature: true}))
		})
	})
	if err != nil {
		return false, fmt.Errorf("have endpoint %s take frames: %w", shortID(e.ID), err)
	}
	return d.transmitsFrames(ctx, host)
}

func (d *Datapath) transmitsFrames(ctx context.Context, device link) (does bool, err error) {
	err = d.inHost(ctx, func() (err error) {
		does, err = netdev.TransmitsFrames(device.index)
		return err
	})
	return does, err
}
