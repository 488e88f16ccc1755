package driver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// callTrace calls the API of a host.
func callTrace(t *testing.T, h host, method, body string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	NewAPI(h.Driver).ServeHTTP(recorder, httptest.NewRequest(method, TracePath, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

func TestTraceOfANetwork(t *testing.T) {
	a := newHost(t, openBolt(t), "a", "192.0.2.1")
	must(t, a.CreateNetwork(t.Context(), create("n1", map[string]any{keyNetwork: "short", keyShortcut: "on"}, "10.1.0.0/24")))
	must(t, a.CreateNetwork(t.Context(), create("n2", map[string]any{keyNetwork: "long"}, "10.2.0.0/24")))
	a.engine.networks = []EngineNetwork{{ID: "n0", Name: "others"}, {ID: "n1", Name: "web"}}
	for _, c := range []struct {
		body string
		code int
		says string
	}{
		{`{"network":"web","seconds":7}`, http.StatusOK, "{}"},
		{`{"network":"others","seconds":7}`, http.StatusBadRequest, "no such network"},
		{`{"network":"short","seconds":7}`, http.StatusOK, "{}"},
		{`{"network":"short","seconds":600}`, http.StatusOK, "{}"},
		{`{"network":"short","seconds":0}`, http.StatusBadRequest, "from 1 to 600"},
		{`{"network":"short","seconds":601}`, http.StatusBadRequest, "from 1 to 600"},
		{`{"network":"short","second":1}`, http.StatusBadRequest, "second"},
		{`{"network":"long","seconds":1}`, http.StatusBadRequest, "falcon.shortcut=on"},
		{`{"network":"none","seconds":1}`, http.StatusBadRequest, "no such network"},
	} {
		if code, text := callTrace(t, a, http.MethodPut, c.body); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s", c.body, code, text)
		}
	}
	if code, text := callTrace(t, a, http.MethodGet, ""); code != http.StatusOK || !strings.Contains(text, `"lost":600`) {
		t.Errorf("%d %s", code, text)
	}
	if code, text := callTrace(t, a, http.MethodDelete, ""); code != http.StatusOK || a.kernel.traced != 0 {
		t.Errorf("%d %s, traced %v", code, text, a.kernel.traced)
	}
}
