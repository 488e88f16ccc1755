package datapath

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// idInName is how much of an endpoint's ID goes into device names: 3 characters of prefix make 15.
const idInName = 12

func shortID(id string) string { return id[:min(len(id), idInName)] }

// hostPrefix begins the names of bridge ports of endpoints.
const hostPrefix = "fp-"

// hostDevice is the name of the bridge port of an endpoint.
func hostDevice(id string) string { return hostPrefix + shortID(id) }

// ContainerDevice is the name, on the host, of the end of an endpoint's veth that goes into the container.
func ContainerDevice(id string) string { return containerPrefix + shortID(id) }

const containerPrefix = "fc-"

// check refuses what cannot be made, and gives the tag of the endpoint's devices.
func (e Endpoint) check() (string, error) {
	alnum := func(r rune) bool {
		return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '-'
	}
	switch {
	case e.ID == "" || strings.TrimFunc(e.ID, alnum) != "":
		return "", fmt.Errorf("check endpoint %q: ID is not of letters and digits", e.ID)
	case e.Network == "":
		return "", fmt.Errorf("check endpoint %s: network name is empty", e.ID)
	case e.MAC.IsZero() || e.MAC[0]&1 != 0:
		return "", fmt.Errorf("check endpoint %s: MAC %s is not a unicast address", e.ID, e.MAC)
	case e.MTU < minMTU || e.MTU > maxMTU:
		return "", fmt.Errorf("check endpoint %s: MTU %d is not in %d to %d", e.ID, e.MTU, minMTU, maxMTU)
	case hasIPv6(e.Addresses) && e.MTU < minMTUv6:
		return "", fmt.Errorf("check endpoint %s: MTU %d is below %d, which IPv6 needs (RFC 8200)", e.ID, e.MTU, minMTUv6)
	}
	return tag{network: e.Network, vni: e.VNI, endpoint: e.ID, mac: e.MAC}.encode()
}

// EnsureEndpoint makes or repairs an endpoint's veth and what the bridge must know of it. The network's devices
// must be there.
//
//	fp-<id>  host end: a port of the bridge
//	fc-<id>  container end, with the endpoint's MAC and MTU; Docker moves it into the container and renames it
//
// If the host end is missing, the kernel has deleted the container's end with it. Once the endpoint has a
// Sandbox, the pair is rebuilt into it; ErrSandboxGone if that is gone too.
func (d *Datapath) EnsureEndpoint(ctx context.Context, e Endpoint) (Change, error) {
	tag, err := e.check()
	if err != nil {
		return Change{}, err
	}
	br, err := d.ownBridge(ctx, e.VNI)
	if err != nil {
		return Change{}, err
	}
	want := wantPort(e, tag, br.index)
	host, did, err := d.ensureVeth(ctx, e, want)
	if err != nil {
		return did.change(), err
	}
	d.steerEndpoint(ctx, e, host)
	if err := d.announceLocal(ctx, br.index, host.index, e); err != nil {
		return did.change(), err
	}
	d.shortcutLocal(ctx, e, host.index)
	return did.change(), nil
}

// wantPort describes an endpoint's bridge port. All ports have the bridge's MAC, which nobody uses: with one of its own, each
// would add an entry to the bridge's table (br_fdb_add_local), which the kernel walks whenever a port comes or goes.
func wantPort(e Endpoint, tag string, bridge int) link {
	return link{name: hostDevice(e.ID), kind: kindVeth, tag: tag, mtu: e.MTU, mac: bridgeMAC(e.VNI), master: bridge, port: vethPort}
}

// announceLocal makes the bridge know an endpoint of this host: its MAC is behind its port, so that frames for
// it are not flooded, and its addresses have this MAC, so that ARP for them is not sent to other hosts.
func (d *Datapath) announceLocal(ctx context.Context, bridge, port int, e Endpoint) error {
	if err := d.rt.putBridgeFDB(ctx, e.MAC, port); err != nil {
		return err
	}
	for _, p := range e.Addresses {
		if err := d.rt.putNeigh(ctx, bridge, p.Addr(), e.MAC); err != nil {
			return err
		}
	}
	return nil
}

// RemoveEndpoint deletes an endpoint's veth and what the bridge knows of it. The neighbour entries go first: the
// veth carries the MAC that they are found by, so a removal that was cut off can be repeated.
func (d *Datapath) RemoveEndpoint(ctx context.Context, id string) error {
	defer d.forgetEndpoint(id)
	host, err := d.rt.linkByName(ctx, hostDevice(id))
	switch {
	case errors.Is(err, errNoLink):
		return nil
	case err != nil:
		return err
	}
	t, ok := parseTag(host.tag)
	if half := host.tag == "" && host.group == makingGroup; !half && (!ok || t.endpoint != id) {
		return nil // somebody else's, or of an endpoint whose ID begins alike: this one has no device
	}
	if ok {
		d.shortcutLocalGone(id, t.vni, t.mac, host.index)
	}
	if host.master != 0 && ok {
		if err := d.rt.dropNeighsOf(ctx, host.master, t.mac); err != nil {
			return err
		}
	}
	return d.rt.deleteLink(ctx, host)
}
