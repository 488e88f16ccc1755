package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/ipam"
	"falcon/store"
)

const (
	// commitAttempts bounds how often a commit that met another host's is tried again: each attempt means
	// that somebody else succeeded.
	commitAttempts = 32
	// firstVNI leaves the low numbers, which people give by hand, to people.
	firstVNI = 4096
)

// CreateNetwork makes this host a member of the network that the request names, creating the network if it is
// the first.
func (d *Driver) CreateNetwork(ctx context.Context, req *network.CreateNetworkRequest) error {
	r, err := parseRequest(req)
	if err != nil {
		return err
	}
	if err := d.checkReady(ctx); err != nil {
		return err
	}
	if m, ok := d.view.member(d.host, r.dockerID); ok {
		return d.repeatNetwork(ctx, m, r)
	}
	if m, ok := d.view.membership(d.host, r.name); ok {
		return fmt.Errorf("%s=%s is %w: Docker network %s of this host stands for it; remove that one first or give another name",
			keyNetwork, r.name, ErrTaken, short(m.DockerID))
	}
	if err := d.checkMTU(r.mtu, r.subnets); err != nil {
		return err
	}
	n, err := d.joinNetwork(ctx, r)
	if err != nil {
		return err
	}
	if err := d.establish(ctx, r, n); err != nil {
		return errors.Join(err, d.retreat(ctx, n))
	}
	d.log.WithField("network", n.Name).WithField("vni", n.VNI).Info("network created")
	return nil
}

// repeatNetwork answers a CreateNetwork for an ID that is there already: a retry succeeds, a contradiction does not.
func (d *Driver) repeatNetwork(ctx context.Context, m store.Member, r request) error {
	n, ok := d.view.network(m.Network)
	if !ok || m.Network != r.name {
		return fmt.Errorf("network %s exists already, as %s=%s", short(r.dockerID), keyNetwork, m.Network)
	}
	if err := agree(n, r); err != nil {
		return fmt.Errorf("network %s exists already with other settings: %w", short(r.dockerID), err)
	}
	return d.establish(ctx, r, n)
}

// establish puts a network that is in the store into the kernel.
func (d *Driver) establish(ctx context.Context, r request, n store.Network) error {
	if ipam.IsOurs(r.space) {
		if err := d.cfg.Pools.Bind(ctx, r.space, n.Name, r.subnets...); err != nil {
			return err
		}
	}
	return d.reconciler.network(ctx, n.Name)
}

// retreat undoes joinNetwork after a failure. It has its own deadline: the request's may be over.
func (d *Driver) retreat(ctx context.Context, n store.Network) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	return d.leaveNetwork(ctx, n.Name)
}

// joinNetwork writes the membership, and the network if it is new, or fails without a trace.
func (d *Driver) joinNetwork(ctx context.Context, r request) (store.Network, error) {
	for attempt := range uint32(commitAttempts) {
		n, conditions, writes, err := d.planJoin(ctx, r, attempt)
		if err != nil {
			return store.Network{}, err
		}
		member := store.Member{
			Network: n.Name, Host: d.host, DockerID: r.dockerID,
			Steering: r.steering, Shortcut: r.shortcut, Allowed: r.allowed, Created: time.Now().UTC(),
		}
		key := store.MemberKey(n.Name, d.host)
		conditions = append(conditions, store.Condition{Key: key, Revision: store.Absent})
		writes = append(writes, store.Write{Key: key, Value: store.Encode(member)})
		err = d.commit(ctx, conditions, writes...)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Network{}, fmt.Errorf("create network %s: %w", r.name, err)
		}
		if err := d.conflictIsFinal(ctx, r, err); err != nil {
			return store.Network{}, err
		}
	}
	return store.Network{}, fmt.Errorf("create network %s: %w %d times: try again", r.name, store.ErrConflict, commitAttempts)
}

// planJoin decides what joining means: taking part in a network that exists, or making it. Either way the network's
// record is written, so that a member that leaves at the same time and thinks itself the last one meets a conflict.
func (d *Driver) planJoin(ctx context.Context, r request, attempt uint32) (store.Network, []store.Condition, []store.Write, error) {
	key := store.NetworkKey(r.name)
	record, err := d.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return d.planNew(ctx, r, attempt)
	}
	if err != nil {
		return store.Network{}, nil, nil, fmt.Errorf("read network %s: %w", r.name, err)
	}
	n, err := store.Decode[store.Network](record)
	if err != nil {
		return n, nil, nil, err
	}
	if n.MTU == 0 { // allocated by a swarm manager, which knows neither its nodes' underlay nor --internal
		n.MTU, n.Internal = cmp.Or(r.mtu, d.underlay.current().OverlayMTU()), r.internal
	}
	if err := d.checkJoin(n, r); err != nil {
		return n, nil, nil, fmt.Errorf("join network %s: %w", r.name, err)
	}
	return n, []store.Condition{{Key: key, Revision: record.Revision}}, []store.Write{{Key: key, Value: store.Encode(n)}}, nil
}

func (d *Driver) planNew(ctx context.Context, r request, attempt uint32) (store.Network, []store.Condition, []store.Write, error) {
	vni, err := d.chooseVNI(ctx, r, attempt)
	if err != nil {
		return store.Network{}, nil, nil, err
	}
	n := store.Network{
		Name: r.name, VNI: uint32(vni), Subnets: r.subnets, Internal: r.internal,
		MTU: cmp.Or(r.mtu, d.underlay.current().OverlayMTU()),
	}
	return n,
		[]store.Condition{{Key: store.NetworkKey(n.Name), Revision: store.Absent}, {Key: store.VNIKey(n.VNI), Revision: store.Absent}},
		[]store.Write{
			{Key: store.NetworkKey(n.Name), Value: store.Encode(n)},
			{Key: store.VNIKey(n.VNI), Value: store.Encode(store.VNIOwner{Network: n.Name})},
		}, nil
}

// conflictIsFinal explains a commit's conflict that trying again will not mend: about a VNI that the user
// insisted on, or with a request of the same host for the same network.
func (d *Driver) conflictIsFinal(ctx context.Context, r request, err error) error {
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) {
		return nil
	}
	if conflict.Key == store.MemberKey(r.name, d.host) {
		return fmt.Errorf("create network %s: another request for it is under way on this host: %w", r.name, store.ErrConflict)
	}
	if r.vni == 0 || conflict.Key != store.VNIKey(uint32(r.vni)) {
		return nil
	}
	owner := "another network"
	if record, err := d.store.Get(ctx, conflict.Key); err == nil {
		if o, err := store.Decode[store.VNIOwner](record); err == nil {
			owner = "network " + o.Network
		}
	}
	return optionError(keyVNI, strconv.Itoa(int(r.vni)), "is taken by "+owner+": give another VNI or none")
}

// short is how IDs are shown to people, as Docker shows them.
func short(id string) string {
	if len(id) == 64 && !strings.ContainsAny(id, "-_.") {
		return id[:12]
	}
	return id
}
