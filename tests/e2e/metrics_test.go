package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metricsAt is where falcon is told to serve metrics: a port of its host's loopback.
const metricsAt = "9469"

// A daemon that does all it can has every metric that the dashboard and the alerts ask for.
func TestMetrics(t *testing.T) {
	f := cluster.open(t)
	for _, h := range f.Hosts {
		f.restartFalcon(h, "--metrics-addr="+metricsAt, "--shortcut=on", "--steering=dynamic")
	}
	text := f.metrics("/metrics")
	if !strings.Contains(text, "falcon_ready 1") {
		t.Errorf("not ready:\n%s", text)
	}
	f.overlay("web", "--subnet", "10.83.0.0/24")
	a, b := f.box(f.h1, "web", "one"), f.box(f.h2, "web", "two")
	a.pings(t, b.v4)
	if out, err := f.try(f.h1, client(), "network", "create", "-d", "falcon", "-o", "falcon.vni=no", "bad"); err == nil {
		t.Errorf("created: %s", out)
	}
	f.eventually(func() error {
		a.pings(t, b.v4)
		if text = f.metrics("/metrics"); !strings.Contains(text, `falcon_network_packets_total{network="web",way="in"}`) {
			return fmt.Errorf("no packet has taken the shortcut:\n%s", text)
		}
		return nil
	})
	for _, want := range []string{
		`falcon_network_packets_total{network="web",way="out"}`,
		`falcon_network_endpoints{network="web",place="local"} 1`, `falcon_network_endpoints{network="web",place="remote"} 1`,
		`falcon_network_shortcut_active{network="web"} 1`, `falcon_peer_up{id="`,
		`falcon_request_duration_seconds_count{method="NetworkDriver.CreateNetwork",outcome="failed"} 1`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for _, file := range []string{"grafana/falcon.json", "prometheus/falcon.rules.yml"} {
		for _, metric := range metricsIn(t, "../../packaging/"+file) {
			if !conditional[metric] && !strings.Contains(text, "\n"+metric) {
				t.Errorf("%s asks for %s, which there is not", file, metric)
			}
		}
	}
	if text := f.metrics("/readyz"); !strings.Contains(text, "ready") {
		t.Errorf("readiness: %s", text)
	}
	if out := f.run(f.h1, "ss", "-Htln", "sport", "=", ":"+metricsAt); !strings.Contains(out, "127.0.0.1:"+metricsAt) {
		t.Errorf("not on the loopback alone:\n%s", out)
	}
}

// conditional metrics are there when there is something to tell: TestMetricsTellTheStatus of package driver has them.
var conditional = map[string]bool{"falcon_degraded": true, "falcon_stray_packets_total": true}

// metricsIn are the names of falcon's metrics in a file. In JSON, the expressions' only.
func metricsIn(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".json") {
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(err)
		}
		text = nil
		for _, p := range dashboard.Panels {
			for _, q := range p.Targets {
				text = fmt.Appendln(text, q.Expr)
			}
		}
	}
	names := regexp.MustCompile(`falcon_[a-z0-9_]+`).FindAllString(string(text), -1)
	slices.Sort(names)
	if len(names) == 0 {
		t.Errorf("%s asks for nothing", file)
	}
	return slices.Compact(names)
}

// metrics fetches a page of the first host's.
func (f *fixture) metrics(path string) string {
	f.t.Helper()
	answer, err := f.h1.HTTPClient("tcp", "127.0.0.1:"+metricsAt).Get("http://falcon" + path)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s, %v: %s", path, answer.Status, err, text)
	}
	return string(text)
}
