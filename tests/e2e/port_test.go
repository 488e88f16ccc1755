package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
)

const vxlanPort = 4789

// Where somebody else has the vxlan port, creating a network says who, and so does the doctor; and once the port is free all
// works, with nothing to clean up.
func TestPortTaken(t *testing.T) {
	f := single.open(t)
	for _, c := range []struct {
		name string
		take func(f *fixture) (free func())
		who  string
	}{
		{"by a device", (*fixture).takeByDevice, "device flannel.0"},
		{"by a process", (*fixture).takeByProcess, "a process has UDP port 4789"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := f.sub(t)
			free := c.take(f)
			f.refuse(t, f.h1, []refusal{{"create", create("--subnet", "10.71.0.0/24"), []string{c.who, "4789", "--vxlan-port"}}})
			out, err := f.try(f.h1, "falcon", "doctor")
			if err == nil || !strings.Contains(findingOf(out, "vxlan port"), "FAIL") || !strings.Contains(out, c.who) || !strings.Contains(out, "--vxlan-port") {
				t.Errorf("doctor does not complain: %v\n%s", err, out)
			}
			free()
			f.network(f.h1, "free", "-d", "falcon", "--subnet", "10.71.0.0/24")
			f.healthy(f.h1)
		})
	}
}

func (f *fixture) takeByDevice() func() {
	f.t.Helper()
	f.run(f.h1, "ip", "link", "add", "flannel.0", "type", "vxlan", "external", "dstport", fmt.Sprint(vxlanPort))
	f.run(f.h1, "ip", "link", "set", "flannel.0", "up")
	free := func() { f.run(f.h1, "ip", "link", "delete", "flannel.0") }
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h1.Exec(ctx, "sh", "-c", "ip link delete flannel.0 2>/dev/null || true")
		return err
	})
	return free
}

func (f *fixture) takeByProcess() func() {
	f.t.Helper()
	var conn *net.UDPConn
	err := f.h1.InNet("", func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: vxlanPort})
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.atEnd(func(context.Context) error {
		conn.Close() // again
		return nil
	})
	return func() { conn.Close() }
}
