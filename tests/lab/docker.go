package lab

import (
	"context"
	"fmt"
	"net/http"
)

// DockerOptions say how the hosts' engines run.
type DockerOptions struct {
	LiveRestore bool     // containers outlive their dockerd
	Args        []string // further arguments of dockerd
}

// newEngine prepares the host's dockerd. Everything is where Docker's documentation says, so that documented
// commands work in the host as they stand.
func newEngine(h *Host, o DockerOptions) *Daemon {
	argv := []string{
		"dockerd",
		"--storage-driver", "overlay2",
		"--exec-opt", "native.cgroupdriver=cgroupfs", // there is no systemd in a host
		"--cgroup-parent", h.cgroup(),
	}
	if o.LiveRestore {
		argv = append(argv, "--live-restore")
	}
	client := h.HTTPClient("unix", "/run/docker.sock")
	ready := func(ctx context.Context) error {
		return expectOK(ctx, client, http.MethodGet, "http://docker/_ping")
	}
	return newDaemon(h, "dockerd", ready, append(argv, o.Args...)...)
}

// Docker runs the host's docker client and returns its output.
func (h *Host) Docker(ctx context.Context, args ...string) (string, error) {
	return h.Exec(ctx, append([]string{"docker"}, args...)...)
}

// expectOK makes a request and wants status 200.
func expectOK(ctx context.Context, c *http.Client, method, url string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return nil
}
