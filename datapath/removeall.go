package datapath

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// RemoveAll takes everything of ours out of the host's kernel: devices, programs and their pinned maps, and netfilter's rules. Nobody may
// work on it meanwhile.
func (d *Datapath) RemoveAll(ctx context.Context) error {
	owned, err := d.Owned(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range owned.Endpoints {
		errs = append(errs, d.RemoveEndpoint(ctx, e.ID))
	}
	networks := map[VNI]struct{}{0: {}} // nobody's: pins are looked for when any network is removed
	for _, n := range owned.Networks {
		networks[n.VNI] = struct{}{}
	}
	for vni := range networks {
		errs = append(errs, d.RemoveNetwork(ctx, vni))
	}
	for _, vni := range d.programmedNetworks() { // their devices went before
		errs = append(errs, d.RemoveNetwork(ctx, vni))
	}
	_, err = d.RemoveUnfinished(ctx)
	errs = append(errs, err, d.RemoveHost(ctx))
	for what, why := range d.SteeringStatus(ctx).Problems {
		errs = append(errs, errors.New(what+": "+why))
	}
	for what, why := range d.ShortcutStatus(ctx).Problems {
		errs = append(errs, errors.New(what+": "+why))
	}
	return errors.Join(errs...)
}

// programmedNetworks are those that the programs' maps know.
func (d *Datapath) programmedNetworks() []VNI {
	found := map[VNI]struct{}{}
	d.steer.mu.Lock()
	for vni := range d.steer.networks {
		found[vni] = struct{}{}
	}
	d.steer.mu.Unlock()
	d.short.mu.Lock()
	for vni := range d.short.networks {
		found[vni] = struct{}{}
	}
	d.short.mu.Unlock()
	return slices.Collect(maps.Keys(found))
}
