package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/datapath"
	"falcon/store"
)

// DeleteNetwork ends this host's membership, and the network if it was the last. A network that is not known is no
// error: the deletion may be a repeated one.
func (d *Driver) DeleteNetwork(ctx context.Context, req *network.DeleteNetworkRequest) error {
	if req.NetworkID == "" {
		return errors.New("delete network: no network ID")
	}
	if err := d.checkReady(ctx); err != nil {
		return err
	}
	m, ok := d.view.member(d.host, req.NetworkID)
	if !ok {
		return nil
	}
	if err := d.releaseEndpoints(ctx, m.Network); err != nil {
		return err
	}
	if err := d.leaveNetwork(ctx, m.Network); err != nil {
		return fmt.Errorf("delete network %s: %w", short(req.NetworkID), err)
	}
	d.log.WithField("network", m.Network).Info("network deleted")
	return nil
}

// releaseEndpoints deletes what Docker has left of endpoints whose container is gone. One that lives keeps its network.
func (d *Driver) releaseEndpoints(ctx context.Context, name string) error {
	for _, e := range d.view.locals(d.host, name) {
		if e.Sandbox != "" && !d.cfg.Datapath.SandboxGone(e.Sandbox) {
			return fmt.Errorf("network %s is %w: endpoint %s has a running container; disconnect it first", name, ErrInUse, short(e.ID))
		}
		if err := d.dropEndpoint(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// leaveNetwork takes the membership out of the store and the network's devices out of the kernel.
func (d *Driver) leaveNetwork(ctx context.Context, name string) error {
	n, known := d.view.network(name)
	if err := d.cfg.Pools.Unbind(ctx, name); err != nil {
		return err
	}
	if err := d.commitLeave(ctx, name); err != nil {
		return err
	}
	d.trouble.set("network "+name, nil)
	if !known {
		return nil
	}
	return d.reconciler.leave(ctx, name, datapath.VNI(n.VNI))
}

func (d *Driver) commitLeave(ctx context.Context, name string) error {
	for range commitAttempts {
		key := store.NetworkKey(name)
		record, err := d.store.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return d.commit(ctx, nil, store.Write{Key: store.MemberKey(name, d.host)})
		}
		if err != nil {
			return err
		}
		writes, err := d.planLeave(ctx, record, name)
		if err != nil {
			return err
		}
		err = d.commit(ctx, []store.Condition{{Key: key, Revision: record.Revision}}, writes...)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("leave network %s: %w %d times: try again", name, store.ErrConflict, commitAttempts)
}

// planLeave deletes the membership; with the last one also the network. See planJoin on why the network's
// record is written in any case.
func (d *Driver) planLeave(ctx context.Context, record store.Record, name string) ([]store.Write, error) {
	members, _, err := d.store.List(ctx, store.MembersPrefix+name+"/")
	if err != nil {
		return nil, err
	}
	own := store.MemberKey(name, d.host)
	writes := []store.Write{{Key: own}}
	if slices.ContainsFunc(members, func(r store.Record) bool { return r.Key != own }) {
		return append(writes, store.Write{Key: record.Key, Value: record.Value}), nil
	}
	writes = append(writes, store.Write{Key: record.Key})
	if n, err := store.Decode[store.Network](record); err == nil {
		writes = append(writes, store.Write{Key: store.VNIKey(n.VNI)})
	}
	return writes, nil
}
