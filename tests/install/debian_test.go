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

// debian gives an archive of the root of a freshly installed Debian 12. It is kept in out until `make clean`.
func debian(t *testing.T) *os.File {
	t.Helper()
	name := strings.ReplaceAll(debianPackages, ",", "-") + ".tar"
	dir := filepath.Join(root, "out", "debian-12")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		aside := filepath.Join(dir, "new-"+name) // so what is there is whole
		install(t, aside, "minbase", debianPackages)
		if err := os.Rename(aside, file); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// install puts Debian 12 as its mirrors have it today into a directory, or into an archive if that is what it is called.
func install(t *testing.T, target, variant, packages string) {
	t.Helper()
	if err := os.RemoveAll(target); err != nil {
		t.Fatal(err)
	}
	const mirror = "http://deb.debian.org/"
	cmd := exec.CommandContext(t.Context(), "mmdebstrap", "--quiet", "--variant="+variant, "--include="+packages, "bookworm", target,
		"deb "+mirror+"debian bookworm main", "deb "+mirror+"debian bookworm-updates main", "deb "+mirror+"debian-security bookworm-security main")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install Debian: %v\n%s", err, out)
	}
}
