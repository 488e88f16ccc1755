package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// serving makes the lab's image a web server, as which the examples' image is one.
const serving = `{command: ["sh", "-c", "hostname >/tmp/index.html; exec httpd -f -p 80 -h /tmp"], stop_signal: SIGKILL}`

// idling makes it whatever does nothing here.
const idling = `{command: ["sh", "-c", "trap exit TERM; sleep 1000 & wait"]}`

// composer is a version of Compose.
type composer struct{ command, separator string } // in containers' names

// composers are Debian's, of 2021, and the last one of version 2, which is published as a Go module.
func (f *fixture) composers() []composer {
	f.t.Helper()
	const module = "github.com/docker/compose/v2@v2.40.3"
	binary := filepath.Join(f.t.(*testing.T).TempDir(), "docker-compose-2")
	// Not go install, which takes no module that excludes others.
	build := exec.CommandContext(f.t.Context(), "bash", "-euc",
		`cd / && dir=$(go mod download -json "$0" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') && cd "$dir" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$1" ./cmd`, module, binary)
	if out, err := build.CombinedOutput(); err != nil {
		f.t.Fatalf("build %s: %v\n%s", module, err, out)
	}
	if err := f.Install(binary, "docker-compose-2"); err != nil {
		f.t.Fatal(err)
	}
	return []composer{{"docker-compose", "_"}, {"docker-compose-2", "-"}}
}

// project is an example of packaging/compose that runs on a host, with the lab's image in the place of all images.
type project struct {
	f    *fixture
	h    *lab.Host
	argv []string
}

// example starts one until the end of the test. roles say what its services do.
func (f *fixture) example(c composer, h *lab.Host, file string, roles map[string]string) project {
	f.t.Helper()
	text, err := os.ReadFile("../../packaging/compose/" + file)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(h, "/tmp/"+file, string(text))
	override := "services:\n"
	for service, role := range roles {
		override += fmt.Sprintf("  %s: %s\n", service, role)
	}
	f.write(h, "/tmp/override.yml", override)
	argv := []string{"env", "HOST=" + h.Name, "IP_RANGE=10.60." + strings.TrimPrefix(h.Name, "h") + ".0/24"}
	for _, image := range []string{"WEB", "APP", "DB", "CACHE", "CLIENT"} {
		argv = append(argv, image+"_IMAGE="+lab.ImageName)
	}
	p := project{f, h, append(argv, c.command, "--project-name", "example", "--file", "/tmp/"+file, "--file", "/tmp/override.yml")}
	f.atEnd(func(ctx context.Context) error {
		_, err := h.Exec(ctx, p.args("down", "--timeout", "1")...)
		return err
	})
	f.run(h, p.args("up", "--detach")...)
	return p
}

func (p project) args(args ...string) []string { return slices.Concat(p.argv, args) }

// in runs a command in a service's container.
func (p project) in(service string, command ...string) (string, error) {
	return p.f.try(p.h, p.args(append([]string{"exec", "-T", service}, command...)...)...)
}

// says wants a command in a service's container to succeed, soon, with something in its output.
func (p project) says(want, service string, command ...string) {
	p.f.t.Helper()
	p.f.eventually(func() error {
		out, err := p.in(service, command...)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("%s: %q says %q, want %q", service, command, out, want)
		}
		return err
	})
}

func TestComposeExamples(t *testing.T) {
	f := cluster.open(t)
	for _, c := range f.composers() {
		t.Run(c.command, func(t *testing.T) { f.sub(t).runExamples(t, c) })
	}
}

func (f *fixture) runExamples(t *testing.T, c composer) {
	fetch := func(host string) []string { return []string{"timeout", "3", "wget", "-q", "-O-", "http://" + host} }
	webAndClient := map[string]string{"web": serving, "client": idling}
	t.Run("single-host.yml", func(t *testing.T) {
		p := f.sub(t).example(c, f.h1, "single-host.yml", webAndClient)
		p.says("", "client", fetch("web")...)
		f.run(f.h1, "wget", "-q", "-O-", "http://127.0.0.1:8080")
	})
	t.Run("two-hosts.yml", func(t *testing.T) {
		f := f.sub(t)
		one, two := f.example(c, f.h1, "two-hosts.yml", webAndClient), f.example(c, f.h2, "two-hosts.yml", webAndClient)
		for _, p := range []project{one, two} {
			p.says("", "client", fetch("web-"+p.h.Name)...)
		}
		there := f.look(f.h2, "example_shared", "example"+c.separator+"web"+c.separator+"1")
		one.says(f.docker(f.h2, "exec", there.Name, "hostname"), "client", fetch(there.v4.String())...)
	})
	t.Run("stack.yml", func(t *testing.T) {
		p := f.sub(t).example(c, f.h1, "stack.yml", map[string]string{"web": serving, "app": serving, "db": idling, "cache": idling})
		p.says("", "web", fetch("app")...)
		p.says("1 packets received", "app", "ping", "-c", "1", "-W", "2", "db")
		if out, err := p.in("web", "ping", "-c", "1", "-W", "1", "db"); err == nil {
			t.Errorf("the database is reached from the front: %s", out)
		}
	})
	t.Run("ipv6.yml", func(t *testing.T) {
		p := f.sub(t).example(c, f.h1, "ipv6.yml", webAndClient)
		p.says("1 packets received", "client", "ping", "-6", "-c", "1", "-W", "2", "web")
		p.says("1 packets received", "client", "ping", "-4", "-c", "1", "-W", "2", "web")
	})
	t.Run("options.yml", func(t *testing.T) {
		p := f.sub(t).example(c, f.h1, "options.yml", webAndClient)
		p.says("10.62.0.10", "client", "ping", "-c", "1", "-W", "2", "web")
		n := f.status(f.h1).Networks[0]
		if n.VNI != 4242 || n.MTU != 1400 || n.Steering != "dynamic" || n.Shortcut.Mode != "on" {
			t.Errorf("network %+v", n)
		}
		p.says("", "client", "ip", "addr", "add", "10.62.0.100/24", "dev", "eth0")
		p.says("1 packets received", "client", "ping", "-c", "1", "-W", "2", "-I", "10.62.0.100", "web")
	})
}
