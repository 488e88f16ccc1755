package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"falcon/driver"
)

// apiTimeout bounds a call of the daemon's API.
const apiTimeout = 10 * time.Second

// callAPI calls the daemon of this host and returns what it answers.
func callAPI(ctx context.Context, runDir, method, path string, body []byte) ([]byte, error) {
	socket := filepath.Join(runDir, driver.APISocket)
	client := http.Client{Timeout: apiTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://falcon"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon at %s: %w: is `falcon serve` running, with this --run-dir?", socket, errors.Unwrap(err))
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	switch res.StatusCode {
	case http.StatusOK:
		return raw, nil
	case http.StatusBadRequest:
		return nil, errors.New(string(bytes.TrimSpace(raw)))
	}
	return nil, fmt.Errorf("ask the daemon at %s: %s", socket, res.Status)
}
