package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/store"
)

// AllocateNetwork is asked of a swarm manager before any node has the network: it reserves the VNI. The options
// returned reach every node's CreateNetwork.
func (d *Driver) AllocateNetwork(ctx context.Context, req *network.AllocateNetworkRequest) (*network.AllocateNetworkResponse, error) {
	if err := d.checkReady(ctx); err != nil {
		return nil, err
	}
	r, err := parseRequest(allocation(req))
	if err != nil {
		return nil, err
	}
	for attempt := range uint32(commitAttempts) {
		n, conditions, writes, err := d.planJoin(ctx, r, attempt)
		if err != nil {
			return nil, err
		}
		if len(conditions) > 1 { // new: its MTU is up to the first node, whose underlay it runs over
			n.MTU = 0
			writes[0].Value = store.Encode(n)
		}
		err = d.commit(ctx, conditions, writes...)
		if err == nil {
			options := maps.Clone(req.Options)
			if options == nil {
				options = map[string]string{}
			}
			options[keyVNI] = strconv.FormatUint(uint64(n.VNI), 10)
			return &network.AllocateNetworkResponse{Options: options}, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, fmt.Errorf("allocate network %s: %w", r.name, err)
		}
		if err := d.conflictIsFinal(ctx, r, err); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("allocate network %s: %w %d times: try again", r.name, store.ErrConflict, commitAttempts)
}

// allocation rewrites the request as the CreateNetwork that nodes will see.
func allocation(req *network.AllocateNetworkRequest) *network.CreateNetworkRequest {
	options := map[string]any{}
	for key, value := range req.Options {
		options[key] = value
	}
	create := &network.CreateNetworkRequest{NetworkID: req.NetworkID, Options: map[string]any{keyGeneric: options}}
	for i := range req.IPv4Data {
		create.IPv4Data = append(create.IPv4Data, &req.IPv4Data[i])
	}
	for i := range req.IPv6Data {
		create.IPv6Data = append(create.IPv6Data, &req.IPv6Data[i])
	}
	return create
}

// FreeNetwork undoes AllocateNetwork. A network that still has members goes with the last of them.
func (d *Driver) FreeNetwork(ctx context.Context, req *network.FreeNetworkRequest) error {
	if err := d.checkReady(ctx); err != nil {
		return err
	}
	for range commitAttempts {
		record, err := d.store.Get(ctx, store.NetworkKey(req.NetworkID))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("free network %s: %w", short(req.NetworkID), err)
		}
		members, _, err := d.store.List(ctx, store.MembersPrefix+req.NetworkID+"/")
		if err != nil || len(members) > 0 {
			return err
		}
		n, err := store.Decode[store.Network](record)
		if err != nil {
			return err
		}
		err = d.commit(ctx, []store.Condition{{Key: record.Key, Revision: record.Revision}},
			store.Write{Key: record.Key}, store.Write{Key: store.VNIKey(n.VNI)})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("free network %s: %w %d times: try again", short(req.NetworkID), store.ErrConflict, commitAttempts)
}

// GwAllocCheck tells engines from 28.0 on whether to reserve a gateway address although Join names no
// gateway: they do, as older engines do in any case, so that hosts with different engines number alike.
func (d *Driver) GwAllocCheck(context.Context, *GwAllocCheckRequest) (*GwAllocCheckResponse, error) {
	return &GwAllocCheckResponse{}, nil
}
