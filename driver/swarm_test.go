package driver

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/store"
)

func allocate(id string, options map[string]string, pools ...string) *network.AllocateNetworkRequest {
	req := &network.AllocateNetworkRequest{NetworkID: id, Options: options}
	for _, pool := range pools {
		req.IPv4Data = append(req.IPv4Data, network.IPAMData{AddressSpace: "GlobalDefault", Pool: pool})
	}
	return req
}

// What a manager allocates is what the nodes join: with the options that it answered, under the same VNI, and with the
// MTU of the first node's underlay. The last node takes all of it away.
func TestAllocatedNetworkIsJoinedByNodes(t *testing.T) {
	s := openBolt(t)
	manager := newHost(t, s, "m", "192.0.2.9")
	a, b := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")
	ctx := t.Context()
	asked := map[string]string{keySteering: "off"}
	answer, err := manager.AllocateNetwork(ctx, allocate("n", asked, "10.1.0.0/24"))
	must(t, err)
	if len(asked) != 1 || answer.Options[keySteering] != "off" || len(answer.Options) != 2 {
		t.Errorf("asked with %v, answered %v", asked, answer.Options)
	}
	vni, err := strconv.ParseUint(answer.Options[keyVNI], 10, 32)
	must(t, err)
	if got := manager.kernel.counts(); got != "0 networks, 0 endpoints" {
		t.Errorf("the manager is no node, and has %s", got)
	}
	options := map[string]any{}
	for key, value := range answer.Options {
		options[key] = value
	}
	for _, node := range []host{a, b} {
		must(t, node.CreateNetwork(ctx, create("n", options, "10.1.0.0/24")))
		got := node.Status(ctx).Networks[0]
		if got.VNI != uint32(vni) || got.MTU != 1450 {
			t.Errorf("host %s has VNI %d and MTU %d, want %d and 1450", node.host, got.VNI, got.MTU, vni)
		}
	}
	must(t, manager.FreeNetwork(ctx, &network.FreeNetworkRequest{NetworkID: "n"})) // too early: it has members
	if _, err := s.Get(ctx, store.NetworkKey("n")); err != nil {
		t.Errorf("freed under its members: %v", err)
	}
	for _, node := range []host{a, b} {
		must(t, node.DeleteNetwork(ctx, &network.DeleteNetworkRequest{NetworkID: "n"}))
	}
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

func TestAllocateAndFreeAreIdempotent(t *testing.T) {
	s := openBolt(t)
	m := newHost(t, s, "m", "192.0.2.9")
	ctx := t.Context()
	var vnis []string
	for range 2 {
		answer, err := m.AllocateNetwork(ctx, allocate("n", nil, "10.1.0.0/24"))
		must(t, err)
		vnis = append(vnis, answer.Options[keyVNI])
	}
	if vnis[0] != vnis[1] {
		t.Errorf("VNIs %v of one network", vnis)
	}
	for range 2 {
		must(t, m.FreeNetwork(ctx, &network.FreeNetworkRequest{NetworkID: "n"}))
	}
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

func TestAllocateKeepsVNIsApart(t *testing.T) {
	s := openBolt(t)
	m := newHost(t, s, "m", "192.0.2.9")
	ctx := t.Context()
	seen := map[string]bool{}
	for _, id := range []string{"n1", "n2", "n3"} {
		answer, err := m.AllocateNetwork(ctx, allocate(id, nil, "10.1.0.0/24"))
		must(t, err)
		seen[answer.Options[keyVNI]] = true
	}
	if len(seen) != 3 {
		t.Errorf("three networks have VNIs %v", seen)
	}
	_, err := m.AllocateNetwork(ctx, allocate("n4", map[string]string{keyVNI: firstKey(seen)}, "10.1.0.0/24"))
	wantError(t, err, keyVNI, firstKey(seen), "taken")
	if _, err := s.Get(ctx, store.NetworkKey("n4")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a refused network is in the store: %v", err)
	}
}

func firstKey(m map[string]bool) string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	return slices.Min(all)
}

func TestAllocateRefusesBadOptions(t *testing.T) {
	s := openBolt(t)
	m := newHost(t, s, "m", "192.0.2.9")
	_, err := m.AllocateNetwork(t.Context(), allocate("n", map[string]string{keyVNI: "0"}, "10.1.0.0/24"))
	wantError(t, err, keyVNI, "1 to 16777215")
	_, err = m.AllocateNetwork(t.Context(), allocate("n", map[string]string{"falcon.vnid": "7"}, "10.1.0.0/24"))
	wantError(t, err, "falcon.vnid")
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}
