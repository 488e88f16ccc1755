package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Without --internal a container gets out through docker_gwbridge, and -p lets others in.
func TestWayOut(t *testing.T) {
	f := cluster.open(t)
	f.overlay("open", "--subnet", "10.56.0.0/24")
	const published = 8081
	b := f.box(f.h1, "open", "web", "--publish", fmt.Sprintf("%d:%d", published, servicePort),
		"--publish", fmt.Sprintf("%d:%d/udp", published, servicePort))
	b.serve(t)
	for _, h := range f.Hosts {
		to := netip.AddrPortFrom(h.Addr, hostPort)
		serve(t, h, "", h.Name, to)
		if name, err := askUDP(b.host, b.sandbox, to, "out"); err != nil || name != h.Name {
			t.Errorf("UDP from %v to %v: %q, %v", b, to, name, err)
		}
		if name, err := askTCP(b.host, b.sandbox, to, 1<<16); err != nil || name != h.Name {
			t.Errorf("TCP from %v to %v: %q, %v", b, to, name, err)
		}
	}
	to := netip.AddrPortFrom(f.h1.Addr, published)
	if name, err := askTCP(f.h2, "", to, 1<<16); err != nil || name != b.Name {
		t.Errorf("TCP from %s to the published port %v: %q, %v", f.h2.Name, to, name, err)
	}
	if name, err := askUDP(f.h2, "", to, "in"); err != nil || name != b.Name {
		t.Errorf("UDP from %s to the published port %v: %q, %v", f.h2.Name, to, name, err)
	}
	want := fmt.Sprintf("%d->%d", published, servicePort)
	if ports := f.docker(f.h1, "ps", "--format", "{{.Ports}}"); !strings.Contains(ports, want) {
		t.Errorf("docker ps shows the ports %q", ports)
	}
}
