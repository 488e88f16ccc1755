package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"falcon/tests/lab"
)

// swarm is two managers and a worker, each with the managed plugin, and a network that a manager has made for all.
type swarm struct {
	*fixture
	h3 *lab.Host
}

const (
	// swarmPatience is for a swarm to bring about what it was told, and to find that a node is gone (three heartbeats of 5 s).
	swarmPatience = 90 * time.Second
	swarmDriver   = pluginName + ":latest"
	swarmNetwork  = "back"
)

func newSwarm(t *testing.T) swarm {
	t.Helper()
	lab.Require(t)
	l := lab.New(t, lab.Options{Hosts: 3, Etcd: true, Docker: &lab.DockerOptions{}})
	f := newFixture(t, l)
	t.Cleanup(f.tearDown)
	s := swarm{f, l.Hosts[2]}
	for _, h := range l.Hosts {
		f.createPlugin(h)
		f.docker(h, append([]string{"plugin", "set", pluginName}, f.pluginSettings()...)...)
		f.asDocumented(h, "docker plugin set", nil)
		f.enablePlugin(h)
	}
	f.atEnd(func(ctx context.Context) error {
		var errs []error
		for _, h := range l.Hosts {
			if h.Engine.Running() {
				_, err := h.Docker(ctx, "swarm", "leave", "--force")
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
	if err := lab.JoinSwarm(t.Context(), f.h1, f.h2, s.h3); err != nil {
		t.Fatal(err)
	}
	f.docker(f.h1, "node", "promote", f.h2.Name)
	return s
}

// TestSwarm goes through the life of a swarm whose services talk over falcon: networks that a manager makes and nodes get when they need them,
// names across hosts, an update, a node that is drained, one that is lost, another leader.
func TestSwarm(t *testing.T) {
	s := newSwarm(t)
	s.asDocumented(s.h1, "docker network create", nil)
	s.service()
	clients := []box{s.box(s.h1, swarmNetwork, "client1"), s.box(s.h2, swarmNetwork, "client2")}
	s.step("names across hosts", func(t *testing.T) {
		s.reached(clients, 3)
		clients[0].pings(t, clients[1].v4)
		if nodes := s.nodesOf(s.h1, "web"); len(nodes) != 3 {
			t.Errorf("tasks run on %q", nodes)
		}
	})
	s.step("a rolling update", func(t *testing.T) {
		before := s.hostnames(clients[0], 3)
		s.docker(s.h1, "service", "update", "--detach", "--env-add", "VERSION=2", "--update-parallelism", "1", "web")
		lab.Eventually(t, swarmPatience, func() error {
			after, err := s.tryHostnames(clients[0])
			if err == nil && (len(after) != 3 || slices.ContainsFunc(after, func(name string) bool { return slices.Contains(before, name) })) {
				err = fmt.Errorf("tasks are %q, were %q", after, before)
			}
			return err
		})
		s.reached(clients, 3)
	})
	s.step("a node is drained", func(t *testing.T) {
		s.docker(s.h1, "node", "update", "--availability", "drain", s.h2.Name)
		s.runsOn(s.h1, "web", s.h1.Name, s.h3.Name)
		s.reached(clients[:1], 3)
		s.docker(s.h1, "node", "update", "--availability", "active", s.h2.Name)
	})
	s.step("another leader", func(t *testing.T) {
		s.docker(s.h1, "node", "demote", s.h1.Name)
		lab.Eventually(t, swarmPatience, func() error {
			out, err := s.try(s.h2, client(), "node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}")
			if err == nil && !strings.Contains(out, s.h2.Name+" Leader") {
				err = fmt.Errorf("no leader: %s", out)
			}
			return err
		})
		s.docker(s.h2, "network", "create", "-d", swarmDriver, "--attachable", "--subnet", "10.96.0.0/24", "later")
		one, two := s.box(s.h1, "later", "one"), s.box(s.h2, "later", "two")
		one.pings(t, two.v4)
		s.reached(clients[:1], 3)
	})
	s.step("a node is lost", func(t *testing.T) {
		if err := s.h3.Unplug(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.h3.Engine.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.runsOn(s.h2, "web", s.h1.Name, s.h2.Name)
		s.reached(clients[:1], 3)
		if err := errors.Join(s.h3.Plug(t.Context()), s.h3.Engine.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		s.docker(s.h2, "service", "scale", "--detach", "web=5")
		s.runsOn(s.h2, "web", s.h1.Name, s.h2.Name, s.h3.Name) // which is back
		s.reached(clients[:1], 5)
	})
}

// step is a part of the test, without which the next make no sense.
func (s swarm) step(name string, do func(t *testing.T)) {
	s.t.Helper()
	if !s.t.(*testing.T).Run(name, do) {
		s.t.FailNow()
	}
}

// asDocumented runs the command of docs/swarm.md that begins so, with more flags and with more arguments at its end.
func (f *fixture) asDocumented(h *lab.Host, command string, flags []string, more ...string) {
	f.t.Helper()
	text, err := os.ReadFile("../../docs/swarm.md")
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, command+" ") {
			begin := strings.Fields(command)
			f.run(h, slices.Concat(begin, flags, strings.Fields(line)[len(begin):], more)...)
			return
		}
	}
	f.t.Fatalf("docs/swarm.md has no command %q", command)
}

// service runs web servers that say their container's name, as the document's are run but for the image.
func (s swarm) service() {
	s.t.Helper()
	for _, h := range s.Hosts {
		s.docker(h, "tag", lab.ImageName, "nginx:alpine")
	}
	s.asDocumented(s.h1, "docker service create",
		[]string{"--no-resolve-image", "--stop-grace-period", "1s", "--update-order", "start-first", "--restart-delay", "0s"},
		"sh", "-c", "hostname >/tmp/index.html; exec httpd -f -p 80 -h /tmp")
	s.atEnd(func(ctx context.Context) error {
		for _, h := range []*lab.Host{s.h1, s.h2} { // whoever is a manager then
			if _, err := h.Docker(ctx, "service", "rm", "web"); err == nil {
				return nil
			}
		}
		return nil // it ends with the swarm
	})
}

// nodesOf are the nodes on which a service's tasks run, once each.
func (s swarm) nodesOf(manager *lab.Host, service string) []string {
	s.t.Helper()
	out := s.docker(manager, "service", "ps", "--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}", service)
	var nodes []string
	for _, line := range strings.Split(out, "\n") {
		if node, state, _ := strings.Cut(line, " "); strings.HasPrefix(state, "Running") {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

func (s swarm) runsOn(manager *lab.Host, service string, nodes ...string) {
	s.t.Helper()
	lab.Eventually(s.t, swarmPatience, func() error {
		if now := s.nodesOf(manager, service); !slices.Equal(now, nodes) {
			return fmt.Errorf("tasks run on %q, want %q", now, nodes)
		}
		return nil
	})
}

// tryHostnames asks Docker's resolver in a container for the service's addresses, and each of them for its name.
func (s swarm) tryHostnames(from box) ([]string, error) {
	out, err := s.try(from.host, client(), "exec", from.Name, "nslookup", "-type=a", "web", "127.0.0.11")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, line := range strings.Split(out, "\n") {
		raw, found := strings.CutPrefix(line, "Address: ")
		address, err := netip.ParseAddr(strings.TrimSpace(raw))
		if !found || err != nil {
			continue
		}
		name, err := s.try(from.host, client(), "exec", from.Name, "timeout", "3", "wget", "-q", "-O-", "http://"+address.String())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		names = append(names, strings.TrimSpace(name))
	}
	slices.Sort(names)
	return names, nil
}

// hostnames wants so many tasks to answer, each of its own name.
func (s swarm) hostnames(from box, count int) (names []string) {
	s.t.Helper()
	lab.Eventually(s.t, swarmPatience, func() (err error) {
		names, err = s.tryHostnames(from)
		if err == nil && len(slices.Compact(slices.Clone(names))) != count {
			err = fmt.Errorf("%q answer to %s, want %d", names, from.Name, count)
		}
		return err
	})
	return names
}

// reached wants all clients to reach the same tasks.
func (s swarm) reached(clients []box, count int) {
	s.t.Helper()
	want := s.hostnames(clients[0], count)
	for _, c := range clients[1:] {
		if got := s.hostnames(c, count); !slices.Equal(got, want) {
			s.t.Errorf("%s reaches %q, and %s %q", c.Name, got, clients[0].Name, want)
		}
	}
}
