package experiment

import (
	"context"
	"fmt"
	"net/netip"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// firstPort is from where experiments take ports: out of the way of the engines' and of those that the kernel gives out.
const firstPort = 20000

// path leads from the n-th place of the sender to the n-th of the receiver, by one port at both ends.
func (c *Cell) path(ctx context.Context, n int, port uint16) (subject.Path, error) {
	from, err := c.Bed.Place(ctx, c.Subject, c.Bed.Sender, n)
	if err != nil {
		return subject.Path{}, fmt.Errorf("make place %d of the sender: %w", n, err)
	}
	to, err := c.Bed.Place(ctx, c.Subject, c.Bed.Receiver, n)
	if err != nil {
		return subject.Path{}, fmt.Errorf("make place %d of the receiver: %w", n, err)
	}
	return subject.Path{From: from, To: to, FromPort: port, ToPort: port}, nil
}

// frames configures a generator for some paths. Its frames are as long as the places' devices allow.
func (c *Cell) frames(paths []subject.Path) (load.Config, error) {
	config, err := c.Bed.Frames(c.Subject, paths...)
	if err != nil {
		return load.Config{}, err
	}
	config.CPU, config.MTU = c.Bed.Cores.NIC, pathMTU(paths)
	config.Checksum = true // as every sender's datagrams; what has none is not merged by GRO
	return config, nil
}

// pathMTU is the least of some paths.
func pathMTU(paths []subject.Path) int {
	least := 0
	for _, p := range paths {
		if mtu := min(p.From.MTU, p.To.MTU); least == 0 || mtu < least {
			least = mtu
		}
	}
	return least
}

// local is where a path ends.
func local(p subject.Path) netip.AddrPort { return netip.AddrPortFrom(p.To.Addr, p.ToPort) }

// remote is where a path begins.
func remote(p subject.Path) netip.AddrPort { return netip.AddrPortFrom(p.From.Addr, p.FromPort) }

// end is where paths meet: one process receives all that comes there.
type end struct {
	namespace string
	local     netip.AddrPort
}

// endsOf are all ends of some paths, in the order in which they first come, and the number of each path's.
func endsOf(paths []subject.Path) (ends []end, of []int) {
	known := map[end]int{}
	for _, p := range paths {
		e := end{p.To.Device.Namespace, local(p)}
		if _, ok := known[e]; !ok {
			known[e] = len(ends)
			ends = append(ends, e)
		}
		of = append(of, known[e])
	}
	return ends, of
}

// leastMTU is the least of all subjects that can be measured, for loads that are to be the same for all.
func (e *Env) leastMTU(ctx context.Context) (int, error) {
	least := 0
	for _, s := range e.Bed.Subjects() {
		if s.Missing != "" {
			continue
		}
		p, err := e.Bed.Place(ctx, s, e.Bed.Receiver, 0)
		if err != nil {
			return 0, fmt.Errorf("find MTU of %s: %w", s.Name, err)
		}
		if least == 0 || p.MTU < least {
			least = p.MTU
		}
	}
	return least, nil
}

// Sizes of headers, in bytes.
const (
	ipv4Header = 20
	udpHeader  = 8
	tcpHeader  = 20 // without options: injected segments have none
)
