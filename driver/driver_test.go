package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/datapath"
	"falcon/store"
)

const endpointA, endpointB = "aaaaaaaaaaaa01", "bbbbbbbbbbbb02"

func endpointRequest(net, id, address, mac string) *network.CreateEndpointRequest {
	return &network.CreateEndpointRequest{NetworkID: net, EndpointID: id,
		Interface: &network.EndpointInterface{Address: address, MacAddress: mac}}
}

func named(id, name string, pools ...string) *network.CreateNetworkRequest {
	return create(id, map[string]any{keyNetwork: name}, pools...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func keys(t testing.TB, s store.Store) []string {
	t.Helper()
	records, _, err := s.List(t.Context(), "")
	must(t, err)
	var found []string
	for _, r := range records {
		if !strings.HasPrefix(r.Key, store.HostsPrefix) && !strings.HasPrefix(r.Key, store.AlivePrefix) && r.Key != store.SchemaKey {
			found = append(found, r.Key)
		}
	}
	return found
}

func TestTwoHostsOneNetwork(t *testing.T) {
	s := openBolt(t)
	a, b := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, named("neta", "web", "10.1.0.0/24")))
	eventually(t, "b sees the network", func() bool { _, ok := b.view.network("web"); return ok })
	must(t, b.CreateNetwork(ctx, named("netb", "web", "10.1.0.0/24")))
	vni := a.Status(ctx).Networks[0].VNI
	if got := b.Status(ctx).Networks[0].VNI; got != vni {
		t.Fatalf("VNIs %d and %d", vni, got)
	}
	eventually(t, "a floods to b", func() bool { return fmt.Sprint(a.kernel.flood(vni)) == "[192.0.2.2]" })
	eventually(t, "b floods to a", func() bool { return fmt.Sprint(b.kernel.flood(vni)) == "[192.0.2.1]" })

	answer, err := a.CreateEndpoint(ctx, endpointRequest("neta", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	if answer.Interface.MacAddress != "02:42:0a:01:00:02" || answer.Interface.Address != "" {
		t.Errorf("answer %+v", answer.Interface)
	}
	eventually(t, "b knows a's endpoint", func() bool { return b.kernel.remotes(vni)["02:42:0a:01:00:02"] == "192.0.2.1" })

	join, err := a.Join(ctx, &network.JoinRequest{NetworkID: "neta", EndpointID: endpointA, SandboxKey: "/run/x"})
	must(t, err)
	if join.InterfaceName.SrcName != datapath.ContainerDevice(endpointA) || join.Gateway != "" || join.DisableGatewayService {
		t.Errorf("join %+v", join)
	}
	if err := a.DeleteNetwork(ctx, &network.DeleteNetworkRequest{NetworkID: "neta"}); !errors.Is(err, ErrInUse) {
		t.Errorf("delete while in use: %v", err)
	}
	must(t, a.Leave(ctx, &network.LeaveRequest{NetworkID: "neta", EndpointID: endpointA}))
	must(t, a.DeleteEndpoint(ctx, &network.DeleteEndpointRequest{NetworkID: "neta", EndpointID: endpointA}))
	eventually(t, "b forgets a's endpoint", func() bool { return len(b.kernel.remotes(vni)) == 0 })
	must(t, a.DeleteNetwork(ctx, &network.DeleteNetworkRequest{NetworkID: "neta"}))
	eventually(t, "b stops flooding", func() bool { return len(b.kernel.flood(vni)) == 0 })
	must(t, b.DeleteNetwork(ctx, &network.DeleteNetworkRequest{NetworkID: "netb"}))
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
	for _, h := range []host{a, b} {
		if got := h.kernel.counts(); got != "0 networks, 0 endpoints" {
			t.Errorf("left in the kernel of %s: %s", h.host, got)
		}
	}
}

func TestRequestsAreIdempotentByID(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	ctx := t.Context()
	for range 2 {
		must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	}
	for range 2 {
		answer, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
		must(t, err)
		if answer.Interface.MacAddress != "02:42:0a:01:00:02" {
			t.Errorf("MAC %s", answer.Interface.MacAddress)
		}
	}
	for range 2 {
		_, err := a.Join(ctx, &network.JoinRequest{NetworkID: "n", EndpointID: endpointA, SandboxKey: "/run/x"})
		must(t, err)
	}
	for range 2 {
		must(t, a.DeleteEndpoint(ctx, &network.DeleteEndpointRequest{NetworkID: "n", EndpointID: endpointA}))
	}
	for range 2 {
		must(t, a.DeleteNetwork(ctx, &network.DeleteNetworkRequest{NetworkID: "n"}))
	}
}

func TestContradictionsAreErrorsAndChangeNothing(t *testing.T) {
	s := openBolt(t)
	a, b := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("n", map[string]any{keyNetwork: "web", keyVNI: "77"}, "10.1.0.0/24")))
	_, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	eventually(t, "b sees a's endpoint", func() bool { _, ok := b.view.endpoint("web", endpointA); return ok })
	before := strings.Join(keys(t, s), "\n")

	wantError(t, a.CreateNetwork(ctx, create("n", map[string]any{keyNetwork: "web", keyVNI: "78"}, "10.1.0.0/24")), "exists already", keyVNI)
	wantError(t, a.CreateNetwork(ctx, named("other", "web", "10.1.0.0/24")), keyNetwork, "web", "taken")
	wantError(t, a.CreateNetwork(ctx, create("m", map[string]any{keyVNI: "77"})), keyVNI, "77", "taken by network web")
	wantError(t, a.CreateNetwork(ctx, create("m", map[string]any{keyMTU: "1451"})), keyMTU, "1451", "1450")
	wantError(t, b.CreateNetwork(ctx, named("m", "web", "10.2.0.0/24")), "10.2.0.0/24", "10.1.0.0/24", "--subnet")
	wantError(t, b.CreateNetwork(ctx, create("m", map[string]any{keyNetwork: "web", keyMTU: "1400"}, "10.1.0.0/24")), keyMTU, "1450")
	a.kernel.strangers[99] = "flannel.1"
	wantError(t, a.CreateNetwork(ctx, create("m", map[string]any{keyVNI: "99"})), keyVNI, "99", "flannel.1")

	endpoint := func(net, id, address, mac string) error {
		_, err := a.CreateEndpoint(ctx, endpointRequest(net, id, address, mac))
		return err
	}
	wantError(t, endpoint("nope", endpointB, "10.1.0.3/24", ""), "nope", "not known")
	wantError(t, endpoint("n", "xyz", "10.1.0.3/24", ""), "xyz", "hexadecimal")
	wantError(t, endpoint("n", endpointB, "10.9.0.3/24", ""), "10.9.0.3", "10.1.0.0/24")
	wantError(t, endpoint("n", endpointB, "10.1.0.0/24", ""), "network or broadcast")
	wantError(t, endpoint("n", endpointB, "10.1.0.255/24", ""), "network or broadcast")
	wantError(t, endpoint("n", endpointB, "10.1.0.2/24", ""), "10.1.0.2", "taken", "host-a")
	wantError(t, endpoint("n", endpointB, "10.1.0.3/24", "02:42:0a:01:00:02"), "02:42:0a:01:00:02", "taken")
	wantError(t, endpoint("n", endpointB, "10.1.0.3/24", "01:00:5e:00:00:01"), "multicast")
	wantError(t, endpoint("n", endpointA, "10.1.0.4/24", ""), "exists already")
	_, err = a.Join(ctx, &network.JoinRequest{NetworkID: "n", EndpointID: endpointB, SandboxKey: "/run/x"})
	wantError(t, err, "not known")
	_, err = a.Join(ctx, &network.JoinRequest{NetworkID: "n", EndpointID: endpointA})
	wantError(t, err, "sandbox")
	wantError(t, a.Leave(ctx, &network.LeaveRequest{NetworkID: "n", EndpointID: endpointB}), "not known")

	if after := strings.Join(keys(t, s), "\n"); after != before {
		t.Errorf("store changed from\n%s\nto\n%s", before, after)
	}
}

func TestFailureInTheKernelLeavesNoIntent(t *testing.T) {
	s := openBolt(t)
	a := newHost(t, s, "a", "192.0.2.1")
	ctx := t.Context()
	a.kernel.setFail(errors.New("no such device"))
	wantError(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")), "no such device")
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left after a failed network: %v", left)
	}
	a.kernel.setFail(nil)
	must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	before := strings.Join(keys(t, s), "\n")
	a.kernel.setFail(errors.New("no such device"))
	_, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	wantError(t, err, "no such device")
	if after := strings.Join(keys(t, s), "\n"); after != before {
		t.Errorf("left after a failed endpoint: %s", after)
	}
}

func TestConcurrentNetworksGetDifferentVNIs(t *testing.T) {
	s := openBolt(t)
	hosts := []host{newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")}
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			h := hosts[i%2]
			if err := h.CreateNetwork(t.Context(), create(fmt.Sprintf("net%d", i), nil)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	records, _, err := s.List(t.Context(), store.NetworksPrefix)
	must(t, err)
	seen := map[uint32]string{}
	for _, r := range records {
		n, err := store.Decode[store.Network](r)
		must(t, err)
		if other, ok := seen[n.VNI]; ok {
			t.Errorf("%s and %s share VNI %d", n.Name, other, n.VNI)
		}
		seen[n.VNI] = n.Name
	}
	if len(seen) != 20 {
		t.Errorf("%d networks", len(seen))
	}
}

func TestStartBringsTheKernelInLine(t *testing.T) {
	s := openBolt(t)
	a := newHost(t, s, "a", "192.0.2.1")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	_, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	must(t, err)

	rebooted := newHost(t, s, "a", "192.0.2.1") // the same host with an empty kernel
	if got := rebooted.kernel.counts(); got != "1 networks, 1 endpoints" {
		t.Errorf("after the start: %s", got)
	}
	rebooted.kernel.networks[5] = datapath.Network{Name: "old", VNI: 5}
	rebooted.kernel.endpoints["cccc"] = datapath.Endpoint{ID: "cccc", Network: "old"}
	must(t, rebooted.reconciler.all(ctx))
	if got := rebooted.kernel.counts(); got != "1 networks, 1 endpoints" {
		t.Errorf("with orphans: %s", got)
	}
}

func TestRecordsThatCannotBeReadRemoveNothing(t *testing.T) {
	s := openBolt(t)
	a := newHost(t, s, "a", "192.0.2.1")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	_, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	_, err = s.Commit(ctx, nil, []store.Write{{Key: store.EndpointKey("n", endpointA), Value: []byte("{")}})
	must(t, err)
	eventually(t, "the damage is seen", func() bool { return len(a.view.damage()) > 0 })
	must(t, a.reconciler.all(ctx))
	if got := a.kernel.counts(); got != "1 networks, 1 endpoints" {
		t.Errorf("got %s", got)
	}
	if degraded := fmt.Sprint(a.Status(ctx).Degraded); !strings.Contains(degraded, endpointA) {
		t.Errorf("status does not name the record: %s", degraded)
	}
}

func TestEndpointThatMovesIsNeverLost(t *testing.T) {
	s := openBolt(t)
	a, b, c := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2"), newHost(t, s, "c", "192.0.2.3")
	ctx := t.Context()
	for _, h := range []host{a, b, c} {
		must(t, h.CreateNetwork(ctx, named("net"+h.host, "web", "10.1.0.0/24")))
	}
	vni := a.Status(ctx).Networks[0].VNI
	for i := range 10 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		id := fmt.Sprintf("%012x", i)
		_, err := to.CreateEndpoint(ctx, endpointRequest("net"+to.host, id, "10.1.0.2/24", ""))
		if i > 0 {
			wantError(t, err, "taken")
			must(t, from.DeleteEndpoint(ctx, &network.DeleteEndpointRequest{NetworkID: "net" + from.host, EndpointID: fmt.Sprintf("%012x", i-1)}))
			_, err = to.CreateEndpoint(ctx, endpointRequest("net"+to.host, id, "10.1.0.2/24", ""))
		}
		must(t, err)
		want := to.kernel.under.Address.String()
		eventually(t, "c follows the move", func() bool { return c.kernel.remotes(vni)["02:42:0a:01:00:02"] == want })
	}
}

func TestInternalNetworkHasNoGatewayService(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	ctx := t.Context()
	req := create("n", nil, "10.1.0.0/24", "10.2.0.0/24", "fd00::/64")
	req.Options[keyInternal] = true
	must(t, a.CreateNetwork(ctx, req))
	_, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	join, err := a.Join(ctx, &network.JoinRequest{NetworkID: "n", EndpointID: endpointA, SandboxKey: "/run/x"})
	must(t, err)
	if !join.DisableGatewayService || join.Gateway != "" {
		t.Errorf("join %+v", join)
	}
	if len(join.StaticRoutes) != 1 || join.StaticRoutes[0].Destination != "10.2.0.0/24" {
		t.Errorf("routes to the other subnets of the link: %v", join.StaticRoutes)
	}
}

func TestDeletedHostRecordIsWrittenAgain(t *testing.T) {
	s := openBolt(t)
	a, b := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")
	ctx := t.Context()
	_, err := s.Commit(ctx, nil, []store.Write{{Key: store.HostKey("a")}, {Key: store.HostKey("b")}})
	must(t, err)
	must(t, a.CreateNetwork(ctx, named("docker-a", "blue", "10.1.0.0/24")))
	must(t, b.CreateNetwork(ctx, named("docker-b", "blue", "10.1.0.0/24")))
	n, _ := a.view.network("blue")
	eventually(t, "hosts flood to each other", func() bool {
		return slices.Equal(a.kernel.flood(n.VNI), []string{"192.0.2.2"}) && slices.Equal(b.kernel.flood(n.VNI), []string{"192.0.2.1"})
	})
}
