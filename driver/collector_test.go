package driver

import (
	"errors"
	"testing"
	"time"

	network "github.com/docker/go-plugins-helpers/network"
)

// clock lets a test pass time for a collector.
func (h host) advance(d time.Duration) {
	now := h.collector.now()
	h.collector.now = func() time.Time { return now.Add(d) }
}

func TestCollectorTakesWhatIsAbandonedForTheGracePeriod(t *testing.T) {
	s := openBolt(t)
	a := newHost(t, s, "a", "192.0.2.1")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	for id, sandbox := range map[string]string{endpointA: "/run/gone", endpointB: "/run/lives", "cccccccccccc": ""} {
		_, err := a.CreateEndpoint(ctx, endpointRequest("n", id, "", ""))
		must(t, err)
		if sandbox != "" {
			_, err = a.Join(ctx, &network.JoinRequest{NetworkID: "n", EndpointID: id, SandboxKey: sandbox})
			must(t, err)
		}
	}
	a.kernel.setGone("/run/gone")
	a.engine.networks = []EngineNetwork{{ID: "n"}}

	must(t, a.collector.pass(ctx))
	a.advance(time.Minute - time.Second)
	must(t, a.collector.pass(ctx))
	if got := a.kernel.counts(); got != "1 networks, 3 endpoints" {
		t.Fatalf("within the grace period: %s", got)
	}
	a.advance(2 * time.Second)
	must(t, a.collector.pass(ctx))
	if got := a.kernel.counts(); got != "1 networks, 1 endpoints" {
		t.Fatalf("after the grace period: %s", got)
	}

	a.engine.networks = nil
	a.advance(time.Hour)
	must(t, a.collector.pass(ctx))
	a.advance(time.Hour)
	must(t, a.collector.pass(ctx))
	if got := a.kernel.counts(); got != "1 networks, 1 endpoints" {
		t.Fatalf("a network with a living endpoint: %s", got)
	}
	a.kernel.setGone("/run/lives")
	must(t, a.collector.pass(ctx))
	a.advance(time.Hour)
	must(t, a.collector.pass(ctx)) // both the endpoint and its network
	if left := keys(t, s); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
}

func TestCollectorTakesNoNetworkWithoutTheEnginesAnswer(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	a.engine.err = errors.New("connection refused")
	for range 3 {
		must(t, a.collector.pass(ctx))
		a.advance(time.Hour)
	}
	if got := a.kernel.counts(); got != "1 networks, 0 endpoints" {
		t.Errorf("got %s", got)
	}
	wantError(t, errors.New(a.Status(ctx).Degraded[0].Why), "connection refused")
}

func TestLeftoverOfThisHostMakesWayForItsAddress(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("n", nil, "10.1.0.0/24")))
	_, err := a.CreateEndpoint(ctx, endpointRequest("n", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	_, err = a.Join(ctx, &network.JoinRequest{NetworkID: "n", EndpointID: endpointA, SandboxKey: "/run/gone"})
	must(t, err)
	_, err = a.CreateEndpoint(ctx, endpointRequest("n", endpointB, "10.1.0.2/24", ""))
	wantError(t, err, "taken")
	a.kernel.setGone("/run/gone")
	_, err = a.CreateEndpoint(ctx, endpointRequest("n", endpointB, "10.1.0.2/24", ""))
	must(t, err)
	if _, ok := a.view.endpoint("n", endpointA); ok {
		t.Error("the leftover is still there")
	}
}
