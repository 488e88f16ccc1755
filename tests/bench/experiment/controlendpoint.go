package experiment

import (
	"context"
	"fmt"
	"time"
)

// prepare creates the network on every host.
func (b *protocolBed) prepare(ctx context.Context) error {
	for _, h := range b.hosts {
		p := newAPI(h, pluginSocket)
		b.plugins = append(b.plugins, p)
		if err := p.post(ctx, "NetworkDriver.CreateNetwork", map[string]any{
			"NetworkID": benchDocker, "IPv4Data": []any{map[string]any{"AddressSpace": "LocalDefault", "Pool": benchSubnet}},
			"Options": map[string]any{"com.docker.network.generic": map[string]any{"falcon.network": benchNetwork}},
		}, nil); err != nil {
			return err
		}
	}
	return nil
}

// fill makes endpoints until there are so many, and namespaces for those that are timed too.
func (b *protocolBed) fill(ctx context.Context, to int) error {
	if err := b.containers(ctx, to+b.samples); err != nil {
		return err
	}
	for b.made < to {
		if _, _, _, err := b.create(ctx); err != nil {
			return err
		}
	}
	return nil
}

// containers makes sure that there are so many namespaces to stand for containers. They have no IPv6, as in Docker's without
// --ipv6: each would send its multicast reports to all the others, and a start with veths to restore would measure that.
func (b *protocolBed) containers(ctx context.Context, count int) error {
	if count <= b.spaces {
		return nil
	}
	script := fmt.Sprintf(`for i in $(seq %d %d); do
		ip netns add c$i && ip netns exec c$i sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 || exit
	done`, b.spaces+1, count)
	b.spaces = count
	_, err := b.hosts[0].Exec(ctx, "sh", "-c", script)
	return err
}

// create makes the next endpoint on the first host and returns its MAC and how long both calls took.
func (b *protocolBed) create(ctx context.Context) (id, mac string, took time.Duration, err error) {
	b.made++
	id = fmt.Sprintf("%064x", b.made)
	// The number comes first: device names are made of an ID's first digits.
	id = id[52:] + id[:52]
	address := fmt.Sprintf("10.200.%d.%d/16", b.made/250, b.made%250+2)
	var answer struct{ Interface struct{ MacAddress string } }
	began := time.Now()
	err = b.plugins[0].post(ctx, "NetworkDriver.CreateEndpoint", map[string]any{
		"NetworkID": benchDocker, "EndpointID": id, "Interface": map[string]any{"Address": address},
	}, &answer)
	if err == nil {
		err = b.plugins[0].post(ctx, "NetworkDriver.Join", map[string]any{
			"NetworkID": benchDocker, "EndpointID": id, "SandboxKey": fmt.Sprintf("/run/netns/c%d", b.made),
		}, nil)
	}
	return id, answer.Interface.MacAddress, time.Since(began), err
}

// remove deletes an endpoint of the first host.
func (b *protocolBed) remove(ctx context.Context, id string) error {
	return b.plugins[0].post(ctx, "NetworkDriver.DeleteEndpoint", map[string]any{"NetworkID": benchDocker, "EndpointID": id}, nil)
}
