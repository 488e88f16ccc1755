package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// debianPackages are what the machines have beside the least that Debian 12 is: what boots it, what the documents ask for, and what the tests
// look with.
const debianPackages = "systemd-sysv,dbus,docker.io,docker-compose,curl,iproute2,iptables,nftables,procps,bpftool"

// debian gives the root of a freshly installed Debian 12. It is kept in out until `make clean`.
func debian(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, "out", "debian-12", strings.ReplaceAll(debianPackages, ",", "-")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	install(t, dir+".new", "minbase", debianPackages)
	if err := os.Rename(dir+".new", dir); err != nil { // so what is there is whole
		t.Fatal(err)
	}
	return dir
}

// install puts Debian 12 as its mirrors have it today into a directory.
func install(t *testing.T, dir, variant, packages string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	const mirror = "http://deb.debian.org/"
	cmd := exec.CommandContext(t.Context(), "mmdebstrap", "--quiet", "--variant="+variant, "--include="+packages, "bookworm", dir,
		"deb "+mirror+"debian bookworm main", "deb "+mirror+"debian bookworm-updates main", "deb "+mirror+"debian-security bookworm-security main")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install Debian: %v\n%s", err, out)
	}
}
