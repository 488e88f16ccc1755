package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"falcon/tests/lab"
)

const (
	composeFile = "/tmp/docker-compose.yml"
	composePort = 8080
)

// composition is of hosts that share addresses as well, by IPAM options, which docker-compose 1.29 hands on.
const composition = `
services:
  web:
    image: %s
    command: ["sh", "-c", "echo web of $$0 >/tmp/index.html; exec httpd -f -p 80 -h /tmp", "%s"]
    stop_signal: SIGKILL
    networks: [front]
    ports: ["%d:80"]
networks:
  front:
    driver: falcon
    driver_opts:
      falcon.network: front
    ipam:
      driver: falcon
      options:
        falcon.network: front
`

// Two hosts that share a network share its addresses too, with docker-compose 1.29.
func TestCompose(t *testing.T) {
	f := cluster.open(t)
	for _, h := range f.Hosts {
		f.composeUp(h)
	}
	for _, h := range f.Hosts {
		here := f.look(h, "lab_front", "lab_web_1")
		for _, other := range f.Hosts {
			there := f.look(other, "lab_front", "lab_web_1")
			want := "web of " + other.Name
			for _, url := range []string{
				fmt.Sprintf("http://%v", there.v4),
				fmt.Sprintf("http://%v", netip.AddrPortFrom(other.Addr, composePort)),
			} {
				f.eventually(func() error { // the service may not listen yet
					out, err := f.try(h, client(), "exec", here.Name, "timeout", "3", "wget", "-q", "-O-", url)
					if err == nil && out != want {
						err = fmt.Errorf("%s says %q, want %q", url, out, want)
					}
					return err
				})
			}
		}
		if out := f.docker(h, "exec", here.Name, "timeout", "3", "wget", "-q", "-O-", "http://web"); out != "web of "+h.Name {
			t.Errorf("service by name: %q", out)
		}
	}
	for _, h := range f.Hosts {
		f.run(h, composeArgs("down")...)
	}
	f.leavesNothing()
}

func composeArgs(args ...string) []string {
	return append([]string{"docker-compose", "--project-name", "lab", "--file", composeFile}, args...)
}

func (f *fixture) composeUp(h *lab.Host) {
	f.t.Helper()
	f.write(h, composeFile, fmt.Sprintf(composition, lab.ImageName, h.Name, composePort))
	f.atEnd(func(ctx context.Context) error {
		_, err := h.Exec(ctx, composeArgs("down")...)
		return err
	})
	f.run(h, composeArgs("up", "--detach")...)
}

// write makes a file in a host, which goes with the lab.
func (f *fixture) write(h *lab.Host, path, content string) {
	f.t.Helper()
	if _, err := h.ExecInput(f.t.Context(), strings.NewReader(content), "sh", "-c", `cat >"$0"`, path); err != nil {
		f.t.Fatal(err)
	}
}
