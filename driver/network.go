package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/datapath"
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
			Steering: r.steering, Shortcut: r.shortcut, Created: time.Now().UTC(),
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

// chooseVNI takes the VNI that was asked for, or derives one from the name: hosts that cannot see each other's store
// then still choose the same for the same name. Each attempt derives another.
func (d *Driver) chooseVNI(ctx context.Context, r request, attempt uint32) (datapath.VNI, error) {
	taken, err := d.cfg.Datapath.TakenVNIs(ctx, d.cfg.Port)
	if err != nil {
		return 0, fmt.Errorf("look for VNIs in use: %w", err)
	}
	if r.vni != 0 {
		if device, ok := taken[r.vni]; ok {
			return 0, optionError(keyVNI, fmt.Sprint(r.vni), "is taken by device "+device+" of this host: give another VNI")
		}
		return r.vni, nil
	}
	h := fnv.New32a()
	fmt.Fprint(h, r.name)
	span := uint32(datapath.MaxVNI) - firstVNI + 1
	for i := range span {
		vni := datapath.VNI(firstVNI + (h.Sum32()%span+attempt+i)%span)
		if _, ok := taken[vni]; !ok {
			return vni, nil
		}
	}
	return 0, errors.New("every VNI is in use on this host")
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

// checkMTU holds a network's MTU against the underlay. mtu 0 stands for the largest that fits.
func (d *Driver) checkMTU(mtu int, subnets []netip.Prefix) error {
	u := d.underlay.current()
	largest := u.OverlayMTU()
	switch {
	case mtu > largest:
		return optionError(keyMTU, strconv.Itoa(mtu), fmt.Sprintf("must be at most %d: the underlay %s has an MTU of %d and the encapsulation takes %d",
			largest, u.Interface, u.MTU, u.MTU-largest))
	case mtu == 0 && largest < minMTUv6 && slices.ContainsFunc(subnets, isIPv6):
		return fmt.Errorf("underlay %s: an MTU of %d leaves %d bytes, and IPv6 needs %d (RFC 8200): raise it or leave IPv6 out",
			u.Interface, u.MTU, largest, minMTUv6)
	}
	return nil
}

// agree holds a request against a network that exists.
func agree(n store.Network, r request) error {
	switch {
	case r.vni != 0 && uint32(r.vni) != n.VNI:
		return optionError(keyVNI, strconv.Itoa(int(r.vni)), fmt.Sprintf("must be %d, the network's, or left out", n.VNI))
	case r.mtu != 0 && r.mtu != n.MTU:
		return optionError(keyMTU, strconv.Itoa(r.mtu), fmt.Sprintf("must be %d, the network's, or left out", n.MTU))
	case r.internal != n.Internal:
		return fmt.Errorf("--internal=%t: the network has %t; it must be the same on all hosts", r.internal, n.Internal)
	case !sameSubnets(r.subnets, n.Subnets):
		return fmt.Errorf("subnets %v: the network has %v; give the same with --subnet, or let falcon give them with --ipam-driver falcon --ipam-opt %s=%s",
			r.subnets, n.Subnets, keyNetwork, n.Name)
	}
	return nil
}

func sameSubnets(a, b []netip.Prefix) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(p netip.Prefix) bool { return !slices.Contains(b, p) })
}

// checkJoin tells whether this host can take part in a network of others.
func (d *Driver) checkJoin(n store.Network, r request) error {
	if err := agree(n, r); err != nil {
		return err
	}
	if err := d.checkMTU(n.MTU, n.Subnets); err != nil {
		return err
	}
	s, _ := d.view.scene(n.Name)
	mine := d.underlay.current().Address
	for id := range s.members {
		h, ok := s.hosts[id]
		if !ok || id == d.host {
			continue
		}
		if h.Underlay.Is4() != mine.Is4() {
			return fmt.Errorf("host %s has the underlay address %s and this one %s: all hosts of a network need the same family; see --underlay", h.Name, h.Underlay, mine)
		}
		if h.Port != d.cfg.Port {
			return fmt.Errorf("host %s uses vxlan port %d and this one %d: start all with the same --vxlan-port", h.Name, h.Port, d.cfg.Port)
		}
	}
	return nil
}

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

// short is how IDs are shown to people, as Docker shows them.
func short(id string) string {
	if len(id) == 64 && !strings.ContainsAny(id, "-_.") {
		return id[:12]
	}
	return id
}
