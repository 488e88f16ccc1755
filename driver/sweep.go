package driver

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"
)

// sweep removes devices of ours that nothing in the store stands for. A store with records that cannot be
// read is no ground for removing anything.
func (r *reconciler) sweep(ctx context.Context) error {
	damaged := r.view.damage()
	r.trouble.setDamage(damaged)
	if len(damaged) > 0 {
		return nil
	}
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	unfinished, err := r.dp.RemoveUnfinished(ctx)
	if unfinished > 0 {
		r.log.WithField("devices", unfinished).Info("removed devices that were never finished")
	}
	failures := []error{err}
	owned, err := r.dp.Owned(ctx)
	if err != nil {
		return err
	}
	for _, e := range owned.Endpoints {
		if record, ok := r.view.endpoint(e.Network, e.ID); ok && record.Host == r.host {
			continue
		}
		r.log.WithFields(logrus.Fields{"device": e.Device, "endpoint": e.ID, "network": e.Network}).
			Info("removing a device that no endpoint stands for")
		failures = append(failures, r.dp.RemoveEndpoint(ctx, e.ID))
	}
	for _, n := range owned.Networks {
		record, known := r.view.network(n.Name)
		if _, member := r.view.membership(r.host, n.Name); known && member && record.VNI == uint32(n.VNI) {
			continue
		}
		r.log.WithFields(logrus.Fields{"vni": n.VNI, "network": n.Name}).
			Info("removing the devices of a network that this host has left")
		failures = append(failures, r.dp.RemoveNetwork(ctx, n.VNI))
	}
	return errors.Join(failures...)
}
