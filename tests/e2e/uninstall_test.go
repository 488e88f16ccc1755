package e2e

import (
	"strings"
	"testing"
)

// What falcon has made on a host can be taken off it, by whoever has stopped it.
func TestUninstall(t *testing.T) {
	f := single.open(t)
	f.restartFalcon(f.h1, "--shortcut=on", "--steering=static")
	before := f.fingerprint()
	f.network(f.h1, "gone", "-d", "falcon", "-o", "falcon.network=gone", "--subnet", "10.87.0.0/24")
	one, two := f.box(f.h1, "gone", "one"), f.box(f.h1, "gone", "two")
	one.pings(t, two.v4)
	refuse := func(what ...string) {
		t.Helper()
		out, err := f.try(f.h1, "falcon", "uninstall")
		for _, part := range what {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("want %q: %v, %s", part, err, out)
			}
		}
	}
	refuse("another falcon is running", "stop it first")
	f.stopFalcon(f.h1)
	refuse("containers are attached", "gone", "--force")
	out := f.run(f.h1, "falcon", "uninstall", "--force", "--state-dir", "/var/lib/falcon")
	if !strings.Contains(out, "removed 1 networks and 2 endpoints") || !strings.Contains(out, "--purge") {
		t.Errorf("says %s", out)
	}
	if after := f.fingerprint(); after != before {
		t.Errorf("left:\n%s\nwant\n%s", after, before)
	}
	if out := f.run(f.h1, "sh", "-c", "ls -d /run/falcon /run/docker/plugins/falcon.sock /var/lib/falcon/falcon.db 2>&1 || true"); strings.Contains(out, "\n/run") ||
		strings.HasPrefix(out, "/run") || !strings.Contains(out, "/var/lib/falcon/falcon.db") {
		t.Errorf("files:\n%s", out)
	}
	if again := f.run(f.h1, "falcon", "uninstall"); !strings.Contains(again, "removed 0 networks and 0 endpoints") {
		t.Errorf("again: %s", again)
	}
	// A daemon that starts makes it all anew, with the containers' networks.
	if err := f.h1.Plugin.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually(func() error {
		_, err := f.try(f.h1, client(), "exec", one.Name, "ping", "-c", "1", "-W", "1", two.v4.String())
		return err
	})
}

// fingerprint is what the first host's kernel has that falcon could have made, but for the rules that are there whenever falcon runs.
func (f *fixture) fingerprint() string {
	f.t.Helper()
	return f.run(f.h1, "sh", "-c", `ip -br link show | grep -E 'fbr-|fvx-|fp-|fc-' | cut -d' ' -f1
ls /sys/fs/bpf
bpftool net show dev eth0 | grep -o 'falcon_[a-z]*'
nft list tables | grep falcon-
true`)
}
