package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"falcon/tests/lab"
)

const root = "../.."

// buildPackage makes the Debian package of a version and gives its file.
func buildPackage(t *testing.T, version, dir string) string {
	t.Helper()
	return packageOf(t, "bin/falcon", version, dir)
}

func packageOf(t *testing.T, binary, version, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "packaging/debian/build", binary, version, dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("build the package: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestPackageIsReproducible(t *testing.T) {
	one, err := os.ReadFile(buildPackage(t, "v1.2.3", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(buildPackage(t, "v1.2.3", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(two) {
		t.Error("two packages of one version differ")
	}
	small := filepath.Join(t.TempDir(), "falcon")
	if err := os.WriteFile(small, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"v1.2.3": "1.2.3", "1.2.3-rc1": "1.2.3-rc1", "abc1234-dirty": "0~git.abc1234-dirty", "v1.0-3-gabc": "1.0-3-gabc"} {
		if file := packageOf(t, small, given, t.TempDir()); !strings.HasPrefix(filepath.Base(file), "falcon_"+want+"_") {
			t.Errorf("version %s makes %s", given, file)
		}
	}
}

// copyIn puts a file of this machine into another's home.
func (m machine) copyIn(file string) {
	m.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	m.put("/root/"+filepath.Base(file), string(content))
}

// traces are what falcon leaves on a machine: devices, programs, rules, mounts, files.
func (m machine) traces() string {
	m.t.Helper()
	return m.kernelTraces() + "\n" + m.run(`find /run /usr/bin /usr/lib /usr/share/doc /usr/share/man /etc /var /lib/systemd /sys/fs/bpf -xdev -name '*falcon*' 2>/dev/null || true`)
}

// kernelTraces are those that a reboot would take away.
func (m machine) kernelTraces() string {
	m.t.Helper()
	return m.run(`ip -o link show | grep -oE '(fbr|fvx|fp|fc)-[^ @:]*'
bpftool net show dev eth0 | grep -o 'falcon_[a-z]*'
nft list tables | grep falcon
iptables-save | grep -i falcon
grep falcon /proc/mounts
ls -d /sys/fs/bpf/falcon* /run/falcon* /run/docker/plugins/falcon* 2>/dev/null
true`)
}

// refuses wants a command to fail and to say why.
func (m machine) refuses(command string, says ...string) {
	m.t.Helper()
	out, err := m.try(command + " 2>&1")
	if err == nil {
		m.t.Errorf("%s succeeds: %s", command, out)
		return
	}
	for _, want := range says {
		if text := out + err.Error(); !strings.Contains(text, want) {
			m.t.Errorf("%s does not say %q: %s", command, want, text)
		}
	}
}

// From the package to the first ping and back, on a machine with systemd.
func TestDebianPackage(t *testing.T) {
	dir := t.TempDir()
	old, next := buildPackage(t, "v1.0", dir), buildPackage(t, "v1.1", dir)
	l := lab.New(t, lab.Options{Hosts: 1})
	m := boot(t, l, l.Hosts[0])
	m.addImage("busybox:latest")
	m.copyIn(old)
	m.copyIn(next)
	bare, bareKernel := m.traces(), m.kernelTraces()

	m.run("apt-get install -q -y ./%s", filepath.Base(old))
	m.run("systemctl is-active falcon.service && systemctl is-enabled falcon.service")
	m.run("systemd-analyze verify --man=no /lib/systemd/system/falcon.service")
	if says := m.run("systemd-analyze security --no-pager falcon.service | tail -n 1"); !regexp.MustCompile(`: [0-5]\.\d `).MatchString(says) {
		t.Errorf("hardening: %s", says)
	}
	m.run("docker network create -d falcon --subnet 10.88.0.0/24 mynet")
	m.run("docker run -d --name one --network mynet busybox && docker run -d --name two --network mynet busybox")
	m.run("docker exec one ping -c 1 -W 2 two")
	if says, err := m.try("falcon doctor"); strings.Contains(says, "FAIL") {
		t.Errorf("doctor: %v\n%s", err, says)
	}

	t.Run("the watchdog restarts a daemon that hangs", func(t *testing.T) {
		m := machine{t, m.host, m.pid}
		m.put("/etc/systemd/system/falcon.service.d/test.conf", "[Service]\nWatchdogSec=1\n")
		m.run("systemctl daemon-reload && systemctl restart falcon")
		pid := m.run("systemctl show -P MainPID falcon")
		m.run("kill -STOP %s", pid)
		lab.Eventually(t, bootPatience, func() error {
			if now, err := m.try("systemctl show -P MainPID falcon && systemctl is-active falcon"); err != nil || strings.HasPrefix(now, pid+"\n") {
				return fmt.Errorf("pid %s, was %s: %w", now, pid, err)
			}
			return nil
		})
		m.run("rm -r /etc/systemd/system/falcon.service.d && systemctl daemon-reload && systemctl restart falcon && docker exec one ping -c 1 -W 2 two")
	})
	t.Run("an upgrade loses no packet", func(t *testing.T) {
		m := machine{t, m.host, m.pid}
		said := m.run(`docker exec one ping -i 0.01 two >/tmp/ping & sleep 0.2
apt-get install -q -y ./%s && systemctl is-active falcon
pkill -INT -x ping; wait
tail -n 2 /tmp/ping`, filepath.Base(next))
		if !strings.Contains(said, " 0% packet loss") {
			t.Errorf("says %s", said)
		}
		if v := m.run("dpkg-query -W -f '${Version}' falcon"); v != "1.1" {
			t.Errorf("version %s", v)
		}
	})
	t.Run("removal", func(t *testing.T) {
		m := machine{t, m.host, m.pid}
		id := m.run("docker network ls --filter name=mynet --format '{{.ID}}'")
		m.refuses("apt-get remove -q -y falcon", "containers are attached to falcon's networks ("+id+")", "--force")
		m.run("systemctl is-active falcon && docker exec one ping -c 1 -W 2 two")
		m.run("docker rm -f one two && docker network rm mynet")
		m.run("apt-get remove -q -y falcon")
		m.run("test ! -e /usr/bin/falcon && test -e /etc/default/falcon && test -e /var/lib/falcon/falcon.db")
		if left := m.kernelTraces(); left != bareKernel {
			t.Errorf("left in the kernel:\n%s\nbefore:\n%s", left, bareKernel)
		}
		m.run("apt-get purge -q -y falcon")
		if left := m.traces(); left != bare {
			t.Errorf("left:\n%s\nbefore:\n%s", left, bare)
		}
	})
}
