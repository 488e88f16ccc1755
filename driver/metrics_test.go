package driver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"falcon/datapath"
)

// get asks a handler for a page.
func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Body)
	must(t, err)
	return w.Code, string(body)
}

func TestMetricsTellTheStatus(t *testing.T) {
	s := openBolt(t)
	a, b := newHost(t, s, "a", "192.0.2.1"), newHost(t, s, "b", "192.0.2.2")
	ctx := t.Context()
	must(t, a.CreateNetwork(ctx, create("neta", map[string]any{keyNetwork: "web", keyShortcut: "on"}, "10.1.0.0/24")))
	eventually(t, "b sees the network", func() bool { _, ok := b.view.network("web"); return ok })
	must(t, b.CreateNetwork(ctx, named("netb", "web", "10.1.0.0/24")))
	_, err := a.CreateEndpoint(ctx, endpointRequest("neta", endpointA, "10.1.0.2/24", ""))
	must(t, err)
	eventually(t, "a knows b", func() bool { return len(a.view.peers("a")) == 1 })
	a.trouble.set("something", errors.New("went wrong"))
	must(t, a.kernel.do(func() {
		a.kernel.steering = datapath.SteeringStatus{CPUs: "0-1", Cores: []datapath.CoreStatus{{CPU: 1, Busy: .5, Drops: 7, NIC: datapath.StageCounts{Packets: 9}}}}
	}))

	requests := newRequests()
	requests.note("NetworkDriver.Join", 0, nil)
	code, text := get(t, NewMetrics(a.Driver, requests), MetricsPath)
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, text)
	}
	for _, line := range []string{
		`falcon_ready 1`,
		`falcon_degraded{what="something"} 1`,
		`falcon_store_up{kind="bolt"} 1`,
		`falcon_peer_up{id="b",peer="host-b",underlay="192.0.2.2"} 1`,
		`falcon_network_endpoints{network="web",place="local"} 1`,
		`falcon_network_hosts{network="web"} 2`,
		`falcon_network_shortcut_active{network="web"} 0`,
		`falcon_steering_active 1`,
		`falcon_cpu_busy_ratio{cpu="1"} 0.5`,
		`falcon_cpu_backlog_dropped_packets_total{cpu="1"} 7`,
		`falcon_stage_packets_total{cpu="1",stage="nic"} 9`,
		`falcon_request_duration_seconds_count{method="NetworkDriver.Join",outcome="done"} 1`,
		`go_goroutines`,
		`process_open_fds`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(stateCollector{a.Driver}, requests)
	problems, err := testutil.GatherAndLint(registry)
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What is degraded for two reasons, as a store that does not answer is, and a host that was set up anew, are told of once each.
func TestMetricsAreUnique(t *testing.T) {
	s := Status{
		Degraded: []Degraded{{"store", "list: refused"}, {"store", "watch: refused"}},
		Peers:    []PeerStatus{{ID: "old", Name: "h2"}, {ID: "new", Name: "h2", Alive: true}},
	}
	told := make(chan prometheus.Metric, 100)
	metrics{told}.host(s)
	close(told)
	seen := map[string]bool{}
	for m := range told {
		var value dto.Metric
		must(t, m.Write(&value))
		key := m.Desc().String() + fmt.Sprint(value.GetLabel())
		if seen[key] {
			t.Errorf("twice: %s", key)
		}
		seen[key] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d metrics, want 7: %v", len(seen), seen)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	h := NewMetrics(a.Driver, newRequests())
	for path, says := range map[string]string{HealthPath: "ok", ReadyPath: "ready"} {
		if code, text := get(t, h, path); code != http.StatusOK || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	idle := idleHost(t, openBolt(t), "b", "192.0.2.2")
	if code, text := get(t, NewMetrics(idle.Driver, newRequests()), ReadyPath); code != http.StatusServiceUnavailable || !strings.Contains(text, "falcon status") {
		t.Errorf("before the store was read: %d %s", code, text)
	}
	if code, _ := get(t, h, "/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
}
