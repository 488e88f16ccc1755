package driver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"falcon/datapath"
)

// putSteering sends a body to the API of a host, and gives the answer's status and text.
func putSteering(t *testing.T, h host, body string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	NewAPI(h.Driver).ServeHTTP(recorder, httptest.NewRequest(http.MethodPut, SteeringPath, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

// steeringOf is what the kernel was told about a network.
func steeringOf(h host, name string) datapath.Mode {
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	for _, n := range h.kernel.networks {
		if n.Name == name {
			return n.Steering
		}
	}
	return ""
}

func TestExperimentReachesAllNetworksAndEnds(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	must(t, a.CreateNetwork(t.Context(), named("n1", "plain", "10.1.0.0/24")))
	must(t, a.CreateNetwork(t.Context(), create("n2", map[string]any{keyNetwork: "told", keySteering: "static"}, "10.2.0.0/24")))
	for _, step := range []struct{ body, experiment, plain, told string }{
		{`{"mode":"dynamic"}`, "dynamic", "dynamic", "dynamic"},
		{`{"mode":"off"}`, "off", "off", "off"},
		{`{"mode":""}`, "", "off", "static"},
	} {
		code, text := putSteering(t, a, step.body)
		var s SteeringStatus
		if err := json.Unmarshal([]byte(text), &s); err != nil || code != http.StatusOK || s.Experiment != step.experiment || s.Mode != "off" {
			t.Fatalf("%s: %d %s (%v)", step.body, code, text, err)
		}
		eventually(t, "kernel follows "+step.body, func() bool {
			return string(steeringOf(a, "plain")) == step.plain && string(steeringOf(a, "told")) == step.told
		})
		status := a.Status(t.Context())
		if status.Steering.Experiment != step.experiment {
			t.Errorf("%s: status tells of experiment %q", step.body, status.Steering.Experiment)
		}
		if p, q := status.Networks[0].Steering, status.Networks[1].Steering; p != step.plain || q != step.told {
			t.Errorf("%s: status says plain %q, told %q", step.body, p, q)
		}
	}
}

func TestSplitIsTriedAndEnds(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	must(t, a.CreateNetwork(t.Context(), named("n1", "plain", "10.1.0.0/24")))
	for _, step := range []struct {
		body, tried string
		kernel      bool
	}{
		{`{"split":"on"}`, "on", true},
		{`{"split":"off","mode":"static"}`, "off", false},
		{`{"split":"on"}`, "on", true},
		{`{"split":""}`, "", false}, // the daemon's own setting
	} {
		code, text := putSteering(t, a, step.body)
		var s SteeringStatus
		if err := json.Unmarshal([]byte(text), &s); err != nil || code != http.StatusOK || s.TrySplit != step.tried {
			t.Fatalf("%s: %d %s (%v)", step.body, code, text, err)
		}
		eventually(t, "kernel hears of "+step.body, func() bool {
			a.kernel.mu.Lock()
			defer a.kernel.mu.Unlock()
			return a.kernel.split == step.kernel
		})
	}
}

// Of a request that is wrong in part, nothing is done.
func TestExperimentIsWholeOrNot(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	if code, text := putSteering(t, a, `{"mode":"static","split":"maybe"}`); code != http.StatusBadRequest || !strings.Contains(text, "off, on") {
		t.Errorf("%d %s", code, text)
	}
	if s := a.Status(t.Context()).Steering; s.Experiment != "" || s.TrySplit != "" {
		t.Errorf("tried: %q, %q", s.Experiment, s.TrySplit)
	}
}

func TestBadExperimentIsRefused(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	static := "static"
	must(t, a.Try(SteeringRequest{Mode: &static}))
	for body, says := range map[string]string{
		`{"mode":"fast"}`:              `"fast"`,
		`{"mode":7}`:                   "read request",
		`{}`:                           "no mode",
		``:                             "read request",
		`{"mode":"off","shortcut":""}`: "unknown field",
		`{"mode":"` + strings.Repeat("x", maxCommandRequest) + `"}`: "too large",
	} {
		code, text := putSteering(t, a, body)
		if code != http.StatusBadRequest || !strings.Contains(text, says) || !strings.Contains(text, "off, static, dynamic") {
			t.Errorf("%.40s: %d %s", body, code, text)
		}
	}
	if got := a.Status(t.Context()).Steering.Experiment; got != "static" {
		t.Errorf("a bad request changed the experiment to %q", got)
	}
}

func TestExperimentBeatsOptionBeatsDaemon(t *testing.T) {
	for _, c := range []struct{ experiment, option, daemon, want datapath.Mode }{
		{"", "", "", datapath.Off},
		{"", "", datapath.Static, datapath.Static},
		{"", datapath.Dynamic, datapath.Static, datapath.Dynamic},
		{"", datapath.Off, datapath.Static, datapath.Off},
		{datapath.Off, datapath.Dynamic, datapath.Static, datapath.Off},
		{datapath.Static, datapath.Off, "", datapath.Static},
	} {
		a := newHost(t, openBolt(t), "a", "192.0.2.1")
		options := map[string]any{keyNetwork: "n"}
		if c.option != "" {
			options[keySteering] = string(c.option)
		}
		must(t, a.CreateNetwork(t.Context(), create("n", options, "10.1.0.0/24")))
		m := modes{a.view, a.host, c.daemon, ShortcutOff, &experiment{mode: c.experiment}}
		if got := m.of("n"); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
