package recovery

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	ipamapi "github.com/docker/go-plugins-helpers/ipam"
	network "github.com/docker/go-plugins-helpers/network"

	"falcon/ipam"
	"falcon/tests/lab"
)

const (
	// patience is how long an engine repeats a call that does not go through (moby, pkg/plugins/client.go).
	patience = 30 * time.Second
	// repeatAfter is shorter than the engine's pauses of 1, 2, 4... seconds: what takes long finds little.
	repeatAfter = 50 * time.Millisecond
)

// protocol speaks to a host's falcon as an engine does, in the engine's order and with its way of giving up,
// but for containers that are namespaces and no more.
type protocol struct {
	ctx    context.Context
	host   *lab.Host
	client *http.Client
}

func newProtocol(ctx context.Context, h *lab.Host) protocol {
	return protocol{ctx, h, h.HTTPClient("unix", "/run/docker/plugins/falcon.sock")}
}

// call makes a request. Like the engine, it repeats one that was cut off with what its reader still has: nothing.
func (p protocol) call(method string, question, answer any) error {
	content, err := json.Marshal(question)
	if err != nil {
		return err
	}
	body := bytes.NewBuffer(content)
	for began := time.Now(); ; {
		req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, "http://falcon/"+method, body)
		if err != nil {
			return err
		}
		res, err := p.client.Do(req)
		if err == nil {
			return readAnswer(method, res, answer)
		}
		if time.Since(began) > patience || p.ctx.Err() != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		time.Sleep(repeatAfter)
	}
}

// errRefused is an answer that says no.
var errRefused = errors.New("falcon refused")

func readAnswer(method string, res *http.Response, answer any) error {
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w: %s", method, errRefused, content)
	}
	return json.Unmarshal(content, answer)
}

// nothing is an answer without content.
type nothing struct{}

// directNetwork is a network that the engine knows nothing of.
type directNetwork struct {
	protocol
	id, name, pool, gateway string
	born                    time.Time
}

// directEndpoint is a container in one: a namespace.
type directEndpoint struct {
	id, address, netns string
	moved              bool // the device is in the namespace
}

// newID makes one like the engine's.
func newID() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

// createNetwork does what `docker network create` does: pool, gateway, network. On a failure it takes back what it
// has, as far as the engine does: a network whose creation failed is not deleted.
func (p protocol) createNetwork(name, subnet string) (*directNetwork, error) {
	n := &directNetwork{protocol: p, id: newID(), name: name, born: time.Now()}
	if err := n.requestPool(name, subnet); err != nil {
		return nil, err
	}
	var gateway ipamapi.RequestAddressResponse
	err := p.call("IpamDriver.RequestAddress", ipamapi.RequestAddressRequest{
		PoolID: n.pool, Options: map[string]string{"RequestAddressType": "com.docker.network.gateway"},
	}, &gateway)
	if err != nil {
		return nil, errors.Join(err, n.releasePool())
	}
	n.gateway = gateway.Address
	err = p.call("NetworkDriver.CreateNetwork", network.CreateNetworkRequest{
		NetworkID: n.id,
		Options:   map[string]any{"com.docker.network.generic": map[string]any{"falcon.network": name}},
		IPv4Data:  []*network.IPAMData{{AddressSpace: ipam.LocalSpace, Pool: subnet, Gateway: n.gateway}},
	}, &nothing{})
	if err != nil {
		return nil, errors.Join(err, n.releaseAddress(n.gateway), n.releasePool())
	}
	return n, nil
}

func (n *directNetwork) requestPool(name, subnet string) error {
	var pool ipamapi.RequestPoolResponse
	err := n.call("IpamDriver.RequestPool", ipamapi.RequestPoolRequest{
		AddressSpace: ipam.LocalSpace, Pool: subnet, Options: map[string]string{ipam.OptionNetwork: name},
	}, &pool)
	n.pool = pool.PoolID
	return err
}

// delete releases addresses and pool before it deletes the network, as the engine does.
func (n *directNetwork) delete() error {
	return errors.Join(n.releaseAddress(n.gateway), n.releasePool(),
		n.call("NetworkDriver.DeleteNetwork", network.DeleteNetworkRequest{NetworkID: n.id}, &nothing{}))
}

func (n *directNetwork) releasePool() error {
	return n.call("IpamDriver.ReleasePool", ipamapi.ReleasePoolRequest{PoolID: n.pool}, &nothing{})
}

func (n *directNetwork) releaseAddress(cidr string) error {
	address, _, _ := bytes.Cut([]byte(cidr), []byte("/"))
	return n.call("IpamDriver.ReleaseAddress", ipamapi.ReleaseAddressRequest{PoolID: n.pool, Address: string(address)}, &nothing{})
}

// run does what `docker run` does: address, endpoint, namespace, join.
func (n *directNetwork) run() (*directEndpoint, error) {
	e := &directEndpoint{id: newID()}
	e.netns = "rec-" + e.id[:12]
	var address ipamapi.RequestAddressResponse
	if err := n.call("IpamDriver.RequestAddress", ipamapi.RequestAddressRequest{PoolID: n.pool}, &address); err != nil {
		return nil, err
	}
	e.address = address.Address
	err := n.call("NetworkDriver.CreateEndpoint", network.CreateEndpointRequest{
		NetworkID: n.id, EndpointID: e.id, Interface: &network.EndpointInterface{Address: e.address},
	}, &network.CreateEndpointResponse{})
	if err != nil {
		return nil, errors.Join(err, n.releaseAddress(e.address))
	}
	if err := n.join(e); err != nil {
		return nil, errors.Join(err, n.deleteEndpoint(e))
	}
	return e, nil
}

func (n *directNetwork) join(e *directEndpoint) error {
	if _, err := n.host.Exec(n.ctx, "ip", "netns", "add", e.netns); err != nil {
		return err
	}
	var joined network.JoinResponse
	err := n.call("NetworkDriver.Join", network.JoinRequest{
		NetworkID: n.id, EndpointID: e.id, SandboxKey: "/run/netns/" + e.netns,
	}, &joined)
	if err != nil {
		return errors.Join(err, n.removeNetns(e))
	}
	_, err = n.host.Exec(n.ctx, "sh", "-euc", `
		ip link set $1 netns $2
		ip -n $2 link set $1 name eth0
		ip -n $2 address add $3 dev eth0
		ip -n $2 link set eth0 up`, "sh", joined.InterfaceName.SrcName, e.netns, e.address)
	if err != nil {
		return errors.Join(err, n.leave(e))
	}
	e.moved = true
	return nil
}

func (n *directNetwork) removeNetns(e *directEndpoint) error {
	_, err := n.host.Exec(n.ctx, "ip", "netns", "delete", e.netns)
	return err
}

// remove does what `docker rm --force` does. A container that crashed has no namespace any more when its engine hears
// of it; otherwise the engine gets the device out first.
func (n *directNetwork) remove(e *directEndpoint, crashed bool) error {
	var errs []error
	if crashed {
		errs = append(errs, n.removeNetns(e))
	}
	errs = append(errs, n.call("NetworkDriver.Leave", network.LeaveRequest{NetworkID: n.id, EndpointID: e.id}, &nothing{}))
	if !crashed {
		errs = append(errs, n.takeOut(e), n.removeNetns(e))
	}
	return errors.Join(append(errs, n.deleteEndpoint(e))...)
}

func (n *directNetwork) leave(e *directEndpoint) error {
	return errors.Join(n.removeNetns(e),
		n.call("NetworkDriver.Leave", network.LeaveRequest{NetworkID: n.id, EndpointID: e.id}, &nothing{}))
}

// takeOut moves the device back to the host, under the name that it had there.
func (n *directNetwork) takeOut(e *directEndpoint) error {
	_, err := n.host.Exec(n.ctx, "sh", "-euc", `
		ip -n $1 link set eth0 down
		ip -n $1 link set eth0 name $2
		ip -n $1 link set $2 netns 1`, "sh", e.netns, "fc-"+e.id[:12])
	return err
}

func (n *directNetwork) deleteEndpoint(e *directEndpoint) error {
	return errors.Join(
		n.call("NetworkDriver.DeleteEndpoint", network.DeleteEndpointRequest{NetworkID: n.id, EndpointID: e.id}, &nothing{}),
		n.releaseAddress(e.address))
}
