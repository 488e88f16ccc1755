package main

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

// plugin speaks to a host's falcon as its engine would.
type plugin struct{ client *http.Client }

// newPlugin keeps its connection, as Docker does.
func newPlugin(h *lab.Host) plugin {
	return plugin{&http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 1,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return h.Dial(ctx, "unix", "/run/docker/plugins/falcon.sock")
		},
	}}}
}

// call makes one request; answer may be nil.
func (p plugin) call(ctx context.Context, method string, request map[string]any, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://plugin/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", method, errors.New(string(bytes.TrimSpace(raw))))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(raw, answer)
}
