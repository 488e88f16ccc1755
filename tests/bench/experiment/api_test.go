package experiment

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// dialled sends all requests to a server of the test's.
type dialled string

func (d dialled) RoundTrip(r *http.Request) (*http.Response, error) {
	u, err := url.Parse(string(d))
	if err != nil {
		return nil, err
	}
	r.URL.Host = u.Host
	return http.DefaultTransport.RoundTrip(r)
}

func TestAPIPassesAnswersAndRefusals(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil || r.URL.Path == "/refused":
			http.Error(w, "no such network", http.StatusNotFound)
		case r.Method == http.MethodPost && string(body) == `{"Name":"a"}`:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"ID":"1"}`)
		case r.Method == http.MethodGet && len(body) == 0:
			_, _ = io.WriteString(w, `{"ID":"2"}`)
		default:
			http.Error(w, r.Method+" "+string(body), http.StatusTeapot)
		}
	}))
	defer server.Close()
	a := api{&http.Client{Transport: dialled(server.URL)}}
	var answer struct{ ID string }
	if err := a.post(t.Context(), "made", map[string]any{"Name": "a"}, &answer); err != nil || answer.ID != "1" {
		t.Errorf("post: %+v, %v", answer, err)
	}
	if err := a.get(t.Context(), "made/1", &answer); err != nil || answer.ID != "2" {
		t.Errorf("get: %+v, %v", answer, err)
	}
	if err := a.get(t.Context(), "refused", nil); err == nil || !strings.Contains(err.Error(), "no such network") {
		t.Errorf("refusal: %v", err)
	}
}
