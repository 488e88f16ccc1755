package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"falcon/tests/lab"
)

// Directories of a falcon that must not touch those of the host's own.
const (
	otherRun     = "--run-dir=/tmp/other/run"
	otherState   = "--state-dir=/tmp/other/state"
	otherPlugins = "--plugin-dir=/tmp/other/plugins"
)

// What keeps falcon from working is told at its start, with what to do about it.
func TestServeRefusesToStart(t *testing.T) {
	f := single.open(t)
	f.stopFalcon(f.h1)
	f.run(f.h1, "sh", "-c", `ip link add sleeper type bridge && ip addr add 192.0.2.1/24 dev sleeper
		ip link add bare type bridge && ip link set bare up; mkdir -p /tmp/other/newer /tmp/other/corrupt`)
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h1.Exec(ctx, "sh", "-c", "ip link delete sleeper; ip link delete bare; rm -r /tmp/other")
		return err
	})
	f.write(f.h1, "/tmp/other/newer/falcon.db", newerStore(t))
	f.write(f.h1, "/tmp/other/corrupt/falcon.db", strings.Repeat("no database at all\n", 1000))

	other := []string{otherRun, otherState, otherPlugins, "--underlay=eth0"}
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"underlay that does not exist", append(other, "--underlay=nope0"), []string{`"nope0"`, "no such interface", "eth0: 10.99.0.1", "--underlay"}},
		{"underlay that is down", append(other, "--underlay=sleeper"), []string{"sleeper", "is down", "ip link set sleeper up"}},
		{"underlay without an address", append(other, "--underlay=bare"), []string{"bare", "no global unicast address"}},
		{"underlay of another host", append(other, "--underlay=10.99.0.9"), []string{"10.99.0.9", "no interface has this address", "eth0: 10.99.0.1"}},
		{"no default route", append(other, "--underlay="), []string{"default route", "--underlay", "eth0: 10.99.0.1"}},
		{"store of a newer version", append(other, "--state-dir=/tmp/other/newer"), []string{"/tmp/other/newer/falcon.db", "version 99", "upgrade falcon"}},
		{"store that is corrupt", append(other, "--state-dir=/tmp/other/corrupt"), []string{"/tmp/other/corrupt/falcon.db", "corrupt", "backup"}},
		{"store of an unknown kind", append(other, "--store=redis://x:1"), []string{"--store", "redis", `"bolt"`, "etcd://host:port"}},
		{"swarm without a cluster's store", append(other, "--scope=global"), []string{"--scope=global", "etcd://"}},
		{"vxlan port 0", append(other, "--vxlan-port=0"), []string{"--vxlan-port=0", "1 to 65535"}},
		{"metrics at another host's address", append(other, "--metrics-addr=10.99.0.9:9469"), []string{"--metrics-addr=10.99.0.9:9469", "cannot assign"}},
		{"shortcut", append(other, "--shortcut=yes"), []string{"--shortcut=yes", "on, off"}},
		{"CPU that is not there", append(other, "--cpus=4000"), []string{"--cpus=4000", "not online", "online are"}},
		{"unknown flag", append(other, "--underly=eth0"), []string{"--underly"}},
	} {
		t.Run(c.name, func(t *testing.T) { f.in(t).doesNotStart(nil, c.args, c.want) })
	}
	t.Run("underlay from the environment", func(t *testing.T) {
		f.in(t).doesNotStart([]string{"FALCON_UNDERLAY=nope1"}, []string{otherRun, otherState, otherPlugins}, []string{`"nope1"`})
	})
}

// Only one falcon can run on a host, whatever its directories: it would remove the devices of the other.
func TestSecondFalcon(t *testing.T) {
	f := single.open(t)
	f.network(f.h1, "first", "-d", "falcon", "--subnet", "10.76.0.0/24")
	one, two := f.box(f.h1, "first", "one"), f.box(f.h1, "first", "two")
	devices := f.ownLinks(f.h1)
	for name, args := range map[string][]string{
		"as the first":              nil,
		"directories of its own":    {otherRun, otherState, otherPlugins},
		"run directory of its own":  {otherRun},
		"only the socket in common": {otherRun, otherState},
	} {
		t.Run(name, func(t *testing.T) {
			f.in(t).doesNotStart(nil, append(args, "--underlay=eth0"), []string{"another falcon is running", "stop it first"})
		})
	}
	if now := f.ownLinks(f.h1); !slices.Equal(now, devices) {
		t.Errorf("devices were %v, are %v", devices, now)
	}
	one.pings(t, two.v4)
	f.healthy(f.h1)
}

// stopFalcon stops a host's falcon until the end of the test.
func (f *fixture) stopFalcon(h *lab.Host) {
	f.t.Helper()
	f.atEnd(func(ctx context.Context) error {
		if h.Plugin.Running() {
			return nil
		}
		return h.Plugin.Start(ctx)
	})
	if err := h.Plugin.Stop(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// doesNotStart runs falcon serve, which must fail soon with a message that has all these parts.
func (f *fixture) doesNotStart(env, args, want []string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	_, err := f.h1.Exec(ctx, slices.Concat([]string{"env"}, env, []string{"falcon", "serve"}, args)...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		f.t.Fatalf("want exit status 1: %v", err)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			f.t.Errorf("%q is not in the message: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "goroutine ") || strings.Contains(err.Error(), "Usage:") {
		f.t.Errorf("too many words: %v", err)
	}
}

// newerStore is a file as a later version of falcon may leave it.
func newerStore(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "newer.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("records"))
		if err != nil {
			return err
		}
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return meta.Put([]byte("schema"), []byte(`{"version": 99}`))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
