package lab

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// testContext ends before the test binary's own deadline would leave no diagnosis.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// must returns what a call returned, and fails the test when that is an error.
func must(t *testing.T) func(string, error) string {
	return func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func TestHostsReachEachOther(t *testing.T) {
	l := New(t, Options{Hosts: 3, MTU: 9000})
	ctx := testContext(t)
	h1, h2 := l.Hosts[0], l.Hosts[1]
	for _, to := range []string{h2.Addr.String(), h2.Addr6.String(), "h3"} {
		must(t)(h1.Exec(ctx, "ping", "-c1", "-w5", "-Mdo", "-s8900", to))
	}
	if err := h2.Unplug(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := h1.Exec(ctx, "ping", "-c1", "-w1", h2.Addr.String()); err == nil {
		t.Error("an unplugged host answers")
	}
	if err := h2.Plug(ctx); err != nil {
		t.Fatal(err)
	}
	must(t)(h1.Exec(ctx, "ping", "-c1", "-w5", h2.Addr.String()))
}

func TestHostIsIsolated(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	ctx := testContext(t)
	h := l.Hosts[0]
	for _, tt := range []struct{ want, command string }{
		{"h1", "hostname"},
		{"eth0 lo", "ls /sys/class/net | xargs"},
		{"1", "pgrep -o ."},
		{"", "ip route show default"},
		{"", "ls /run/docker /var/lib/docker /var/lib/falcon /etc/docker 2>/dev/null | grep -v : | xargs"},
	} {
		if out := must(t)(h.Exec(ctx, "sh", "-c", tt.command)); out != tt.want {
			t.Errorf("%s: got %q, want %q", tt.command, out, tt.want)
		}
	}
}

func TestEngine(t *testing.T) {
	l := New(t, Options{Docker: &DockerOptions{}})
	ctx := testContext(t)
	h := l.Hosts[0]

	out := must(t)(h.Docker(ctx, "run", "--rm", ImageName, "sh", "-c", "iperf3 --version | head -1; hostname -i"))
	if !strings.HasPrefix(out, "iperf ") || !strings.Contains(out, "172.17.") {
		t.Errorf("container says %q", out)
	}

	c, err := h.RunContainer(ctx, "box")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Engine.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Docker(ctx, "ps"); err == nil {
		t.Error("a killed engine answers")
	}
	if err := h.Engine.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if state := must(t)(c.Inspect(ctx, "{{.State.Status}}")); state != "exited" {
		t.Errorf("container of a killed engine is %s", state)
	}
	must(t)(h.Docker(ctx, "start", "box"))
	if out := must(t)(c.Exec(ctx, "hostname")); out != "box" {
		t.Errorf("restarted container says %q", out)
	}
	if err := c.Remove(ctx); err != nil {
		t.Error(err)
	}
}

func TestLiveRestore(t *testing.T) {
	l := New(t, Options{Hosts: 1, Docker: &DockerOptions{LiveRestore: true}})
	ctx := testContext(t)
	h := l.Hosts[0]
	c, err := h.RunContainer(ctx, "box")
	if err != nil {
		t.Fatal(err)
	}
	const since = "{{.State.StartedAt}} {{.State.Status}}"
	before := must(t)(c.Inspect(ctx, since))
	if err := h.Engine.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Engine.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if after := must(t)(c.Inspect(ctx, since)); after != before {
		t.Errorf("container was %s, is %s", before, after)
	}
	must(t)(c.Exec(ctx, "true"))
}

func TestReboot(t *testing.T) {
	l := New(t, Options{Docker: &DockerOptions{}})
	ctx := testContext(t)
	h1, h2 := l.Hosts[0], l.Hosts[1]
	c, err := h1.RunContainer(ctx, "box", "--restart", "always")
	if err != nil {
		t.Fatal(err)
	}
	must(t)(h1.Exec(ctx, "sh", "-c", "touch /run/gone /tmp/gone /var/lib/falcon/kept; mkdir /sys/fs/bpf/gone"))
	if err := h1.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	must(t)(h1.Exec(ctx, "sh", "-c", "test ! -e /run/gone -a ! -e /tmp/gone -a ! -e /sys/fs/bpf/gone -a -e /var/lib/falcon/kept"))
	must(t)(h2.Exec(ctx, "ping", "-c1", "-w5", "h1"))
	Eventually(t, 20*time.Second, func() error {
		_, err := c.Exec(ctx, "true")
		return err
	})
}

// Docker's own overlay is what Falcon is measured against.
func TestSwarmOverlay(t *testing.T) {
	l := New(t, Options{Docker: &DockerOptions{}})
	ctx := testContext(t)
	h1, h2 := l.Hosts[0], l.Hosts[1]
	if err := JoinSwarm(ctx, h1, h2); err != nil {
		t.Fatal(err)
	}
	must(t)(h1.Docker(ctx, "network", "create", "--driver", "overlay", "--attachable", "peer"))
	a, err := h1.RunContainer(ctx, "aa", "--network", "peer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h2.RunContainer(ctx, "bb", "--network", "peer"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() error {
		_, err := a.Exec(ctx, "ping", "-c1", "-w1", "bb")
		return err
	})
	namespace := must(t)(h1.OverlayNamespace(ctx, "peer"))
	if out := must(t)(h1.Exec(ctx, "nsenter", "--net="+namespace, "ls", "/proc/sys/net/ipv4/conf")); !strings.Contains(out, "br0") {
		t.Errorf("the overlay's namespace %s has no bridge: %q", namespace, out)
	}
}

func TestEtcd(t *testing.T) {
	l := New(t, Options{Hosts: 1, Etcd: true})
	ctx := testContext(t)
	client := l.Hosts[0].HTTPClient("tcp", l.EtcdAddr())
	healthy := func() error { return expectOK(ctx, client, http.MethodGet, "http://etcd/health") }
	if err := healthy(); err != nil {
		t.Error(err)
	}
	if err := l.Etcd.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if healthy() == nil {
		t.Error("a killed etcd answers")
	}
	if err := l.Etcd.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := healthy(); err != nil {
		t.Error(err)
	}
}
