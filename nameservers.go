package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"falcon/ipam"
)

// reachable adds the host's name servers to what a default subnet must not overlap: Docker refuses such a subnet, and
// asks for another one for as long as it gets the same.
type reachable struct {
	host       ipam.Routes
	resolvConf string
}

// Routes implements ipam.Routes.
func (r reachable) Routes(ctx context.Context) ([]netip.Prefix, error) {
	routes, err := r.host.Routes(ctx)
	if err != nil {
		return nil, err
	}
	servers, err := nameServers(r.resolvConf)
	return append(routes, servers...), err
}

// nameServers reads a resolv.conf(5). A host without one has no name servers.
func nameServers(path string) ([]netip.Prefix, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read name servers: %w", err)
	}
	defer file.Close()
	var servers []netip.Prefix
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.PrefixFrom(address.WithZone(""), address.BitLen()))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read name servers: %w", err)
	}
	return servers, nil
}
