package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"falcon/tests/lab"
)

const (
	pluginName = "falcon-net"
	pluginRoot = "../../out/plugin" // make plugin
)

// The managed plugin does what falcon does as a program of its own: under its own name, and for -d falcon.
func TestManagedPlugin(t *testing.T) {
	f := cluster.open(t)
	for _, h := range f.Hosts {
		f.stopFalcon(h)
		f.createPlugin(h)
		f.docker(h, append([]string{"plugin", "set", pluginName}, f.pluginSettings()...)...)
		f.enablePlugin(h)
	}
	f.overlay("managed", "--ipv6", "--subnet", "10.84.0.0/24", "--subnet", "fd84::/64")
	a, b := f.box(f.h1, "managed", "here"), f.box(f.h2, "managed", "there")
	a.pings(t, b.v4)
	b.pings(t, a.v6)
	for _, h := range f.Hosts {
		f.healthy(h)
		if s := f.status(h); s.Host.Name != h.Name || len(s.Networks) != 1 || s.Steering.Kernel.CPUs == "" || !s.Networks[0].Shortcut.Active {
			t.Errorf("status of %s: %+v", h.Name, s)
		}
	}
	t.Run("under its own name", func(t *testing.T) {
		f := f.sub(t)
		f.network(f.h1, "own", "-d", pluginName+":latest", "--subnet", "10.85.0.0/24")
		one, two := f.box(f.h1, "own", "one"), f.box(f.h1, "own", "two")
		one.pings(t, two.v4)
		if out, err := f.try(f.h1, client(), "plugin", "disable", pluginName); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("disabled although a network uses it: %v, %s", err, out)
		}
	})
	t.Run("beside a standalone falcon", func(t *testing.T) {
		f.in(t).doesNotStart(nil, []string{"--underlay=eth0"}, []string{"another falcon is running", "stop it first"})
	})
	t.Run("disabled and enabled", func(t *testing.T) {
		f := f.in(t)
		f.docker(f.h1, "plugin", "disable", "--force", pluginName)
		a.pings(t, b.v4) // packets need no daemon
		if out, err := f.try(f.h1, client(), "run", "--rm", "--network", "managed", lab.ImageName, "true"); err == nil || !strings.Contains(err.Error(), "falcon") {
			t.Errorf("what a container says that finds the plugin disabled: %v, %s", err, out)
		}
		f.docker(f.h1, "plugin", "enable", pluginName)
		c := f.box(f.h1, "managed", "later")
		c.pings(t, b.v4)
		f.healthy(f.h1)
	})
}

// The plugin can be pushed to a registry, and installed from there with its settings.
func TestPluginFromRegistry(t *testing.T) {
	f := single.open(t)
	f.stopFalcon(f.h1)
	f.startRegistry(f.h1)
	const name = "localhost:5000/" + pluginName + ":1"
	f.run(f.h1, "rm", "-rf", "/tmp/plugin")
	f.copyPlugin(f.h1)
	f.docker(f.h1, "plugin", "create", name, "/tmp/plugin")
	f.docker(f.h1, "plugin", "push", name)
	f.docker(f.h1, "plugin", "rm", name)
	f.removesPlugin(f.h1)
	f.docker(f.h1, "plugin", "install", "--grant-all-permissions", "--alias", pluginName, name, "FALCON_UNDERLAY=eth0")
	f.network(f.h1, "installed", "-d", "falcon", "--subnet", "10.86.0.0/24")
	one, two := f.box(f.h1, "installed", "one"), f.box(f.h1, "installed", "two")
	one.pings(t, two.v4)
	f.healthy(f.h1)
}

func (f *fixture) pluginSettings() []string {
	return []string{"FALCON_UNDERLAY=eth0", "FALCON_STORE=etcd://" + f.EtcdAddr(), "FALCON_SHORTCUT=on", "FALCON_STEERING=dynamic", "FALCON_LOG_LEVEL=debug"}
}

// createPlugin makes a host's engine know the plugin, until the end of the test.
func (f *fixture) createPlugin(h *lab.Host) {
	f.t.Helper()
	f.copyPlugin(h)
	f.removesPlugin(h)
	f.docker(h, "plugin", "create", pluginName, "/tmp/plugin")
}

func (f *fixture) removesPlugin(h *lab.Host) {
	f.atEnd(func(ctx context.Context) error {
		_, disabled := h.Docker(ctx, "plugin", "disable", "--force", pluginName)
		if _, err := h.Docker(ctx, "plugin", "rm", "--force", pluginName); err != nil {
			return errors.Join(disabled, err)
		}
		return nil
	})
}

// enablePlugin says why the plugin did not start if it does not: the engine has its words in its log.
func (f *fixture) enablePlugin(h *lab.Host) {
	f.t.Helper()
	if _, err := f.try(h, client(), "plugin", "enable", pluginName); err != nil {
		f.t.Fatalf("%v\n%s", err, h.Engine.LogTail())
	}
}

// copyPlugin puts what make plugin made into a host.
func (f *fixture) copyPlugin(h *lab.Host) {
	f.t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.AddFS(os.DirFS(pluginRoot)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.Join(err, errors.New("make plugin"))
		}
		f.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.t.Fatal(err)
	}
	if _, err := h.ExecInput(f.t.Context(), &archive, "sh", "-c", "mkdir -p /tmp/plugin && tar x -C /tmp/plugin"); err != nil {
		f.t.Fatal(err)
	}
}

// startRegistry runs a registry on a host's loopback until the end of the test.
func (f *fixture) startRegistry(h *lab.Host) {
	f.t.Helper()
	f.write(h, "/tmp/registry.yml", `version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}}
http: {addr: "127.0.0.1:5000"}
`)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := h.Exec(ctx, "docker-registry", "serve", "/tmp/registry.yml")
		ended <- err
	}()
	f.atEnd(func(context.Context) error { cancel(); <-ended; return nil })
	f.eventually(func() error {
		select {
		case err := <-ended:
			ended <- err
			f.t.Fatalf("registry: %v", err)
		default:
		}
		_, err := f.try(h, "wget", "-q", "-O-", "http://127.0.0.1:5000/v2/")
		return err
	})
}
