package datapath

import (
	"context"
	"errors"
)

// RemoveAll takes everything of ours out of the host's kernel: devices, programs and their pinned maps, and netfilter's rules. Nobody may
// work on it meanwhile.
func (d *Datapath) RemoveAll(ctx context.Context) error {
	owned, err := d.Owned(ctx)
	if err != nil {
		return err
	}
	before := d.programProblems(ctx)
	var errs []error
	for _, e := range owned.Endpoints {
		errs = append(errs, d.RemoveEndpoint(ctx, e.ID))
	}
	networks, err := d.programmedNetworks(ctx)
	errs = append(errs, err)
	for _, n := range owned.Networks {
		networks[n.VNI] = struct{}{}
	}
	for vni := range networks {
		errs = append(errs, d.RemoveNetwork(ctx, vni))
	}
	_, err = d.RemoveUnfinished(ctx)
	errs = append(errs, err, d.RemoveHost(ctx))
	for problem := range d.programProblems(ctx) {
		if _, known := before[problem]; !known { // that a kernel does not take the programs does not keep anything from being removed
			errs = append(errs, errors.New(problem))
		}
	}
	return errors.Join(errs...)
}

// programProblems are those of steering and the shortcut.
func (d *Datapath) programProblems(ctx context.Context) map[string]struct{} {
	found := map[string]struct{}{}
	for _, problems := range []map[string]string{d.SteeringStatus(ctx).Problems, d.ShortcutStatus(ctx).Problems} {
		for what, why := range problems {
			found[what+": "+why] = struct{}{}
		}
	}
	return found
}

// programmedNetworks takes over what an earlier run has pinned, or removes it where no network needs it, and gives the networks that
// programs know: the devices of some may be gone.
func (d *Datapath) programmedNetworks(ctx context.Context) (map[VNI]struct{}, error) {
	found := map[VNI]struct{}{}
	d.steer.mu.Lock()
	steering := d.adoptSteering(ctx)
	for vni := range d.steer.networks {
		found[vni] = struct{}{}
	}
	d.steer.mu.Unlock()
	d.short.mu.Lock()
	shortcut := d.adoptShortcut(ctx)
	for vni := range d.short.networks {
		found[vni] = struct{}{}
	}
	d.short.mu.Unlock()
	return found, errors.Join(steering, shortcut)
}
