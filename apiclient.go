package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"falcon/driver"
)

// apiTimeout bounds a call of the daemon's API.
const apiTimeout = 10 * time.Second

// managedRunDir is where the managed plugin's API is on the host: in the one directory that it shares with it.
const managedRunDir = defaultPluginDir + "/falcon"

// apiSocket finds the daemon's. Whoever does not say where means that of the standalone daemon or of the managed plugin: only one
// can run.
func apiSocket(runDir string) string {
	socket := filepath.Join(runDir, driver.APISocket)
	if runDir != defaultRunDir {
		return socket
	}
	managed := filepath.Join(managedRunDir, driver.APISocket)
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(managed); err == nil {
			return managed
		}
	}
	return socket
}

// callAPI calls the daemon of this host and returns what it answers.
func callAPI(ctx context.Context, runDir, method, path string, body []byte) ([]byte, error) {
	socket := apiSocket(runDir)
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
