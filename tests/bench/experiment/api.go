package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"falcon/tests/lab"
)

// Sockets of a host's daemons.
const (
	pluginSocket = "/run/docker/plugins/falcon.sock"
	engineSocket = "/run/docker.sock"
)

// api speaks JSON to a daemon of a host: to its falcon as its engine would, or to its engine as a client would.
type api struct{ client *http.Client }

// newAPI keeps its connection, as Docker does.
func newAPI(h *lab.Host, socket string) api {
	return api{&http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return h.Dial(ctx, "unix", socket)
		},
	}}}
}

// post makes a request; answer may be nil.
func (a api) post(ctx context.Context, path string, request map[string]any, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return a.call(ctx, http.MethodPost, path, bytes.NewReader(body), answer)
}

// get asks for something.
func (a api) get(ctx context.Context, path string, answer any) error {
	return a.call(ctx, http.MethodGet, path, nil, answer)
}

func (a api) call(ctx context.Context, method, path string, body io.Reader, answer any) error {
	raw, err := a.exchange(ctx, method, path, body)
	if err == nil && answer != nil {
		err = json.Unmarshal(raw, answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (a api) exchange(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://daemon/"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = errors.New(string(bytes.TrimSpace(raw)))
	}
	return raw, err
}

// close gives the connection back. The zero value has none.
func (a api) close() {
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
}
