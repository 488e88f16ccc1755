package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// DriverName is how users write the driver and the IPAM driver, and how engines report them.
const DriverName = "falcon"

// EngineNetwork is what is needed of one of the engine's networks.
type EngineNetwork struct {
	ID, Name   string
	IPAMDriver string
	Scope      string // falcon.network among the IPAM options
	Subnets    []netip.Prefix
}

// Engine tells which networks Docker has. It must never be asked while Docker waits for an answer of ours: the engine
// may hold the locks that it needs (DOCKER.md calls it a deadlock at boot). The collector runs on its own.
type Engine interface {
	Networks(ctx context.Context) ([]EngineNetwork, error)
}

const (
	defaultDockerHost = "unix:///var/run/docker.sock"
	engineTimeout     = 10 * time.Second
	maxEngineAnswer   = 64 << 20 // bytes
)

// DockerEngine asks the engine that DOCKER_HOST names, or the one at its usual socket.
type DockerEngine struct{ client http.Client }

// NewDockerEngine takes the value of DOCKER_HOST, empty for the default. Only Unix sockets will do: the plugin serves
// the engine of its own host.
func NewDockerEngine(dockerHost string) (*DockerEngine, error) {
	if dockerHost == "" {
		dockerHost = defaultDockerHost
	}
	u, err := url.Parse(dockerHost)
	if err != nil || u.Scheme != "unix" || u.Path == "" {
		return nil, fmt.Errorf("DOCKER_HOST=%q: must be a Unix socket of this host, such as %s", dockerHost, defaultDockerHost)
	}
	dialer := &net.Dialer{}
	return &DockerEngine{http.Client{
		Timeout: engineTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", u.Path)
			},
		},
	}}, nil
}

// Networks lists the engine's networks. An engine that is not installed has none that could be missed: without
// its socket there is nothing to compare with, which is an error too.
func (e *DockerEngine) Networks(ctx context.Context) ([]EngineNetwork, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/networks", http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("list Docker's networks: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list Docker's networks: %s", res.Status)
	}
	return decodeNetworks(io.LimitReader(res.Body, maxEngineAnswer))
}

func decodeNetworks(body io.Reader) ([]EngineNetwork, error) {
	var answer []struct {
		ID   string `json:"Id"`
		Name string
		IPAM struct {
			Driver  string
			Options map[string]string
			Config  []struct{ Subnet string }
		}
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("list Docker's networks: %w", err)
	}
	networks := make([]EngineNetwork, 0, len(answer))
	for _, a := range answer {
		n := EngineNetwork{ID: a.ID, Name: a.Name, IPAMDriver: a.IPAM.Driver, Scope: a.IPAM.Options[keyNetwork]}
		for _, c := range a.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				n.Subnets = append(n.Subnets, p.Masked())
			}
		}
		networks = append(networks, n)
	}
	return networks, nil
}
