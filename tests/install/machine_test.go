package install

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"falcon/tests/lab"
)

//go:embed machine.sh
var machineScript string

// machine is a Debian 12 machine that has booted, with Docker and without falcon.
type machine struct {
	t    *testing.T
	host *lab.Host
	pid  string // of its systemd, as the host counts
}

const (
	bootPatience    = time.Minute
	commandPatience = 2 * time.Minute
)

// boot makes a freshly installed machine of a lab's host and waits until its engine runs.
func boot(t *testing.T, l *lab.Lab, h *lab.Host) machine {
	t.Helper()
	if _, err := h.Exec(t.Context(), "ip", "route", "add", "default", "via", "10.99.0.254"); err != nil { // as machines have; nobody is there
		t.Fatal(err)
	}
	archive := debian(t)
	defer archive.Close()
	const dir = "/tmp/machine"
	if _, err := h.ExecInput(t.Context(), archive, "sh", "-euc", `mkdir "$0" && mount -t tmpfs -o mode=755 machine "$0" && tar -x -C "$0"`, dir); err != nil {
		t.Fatal(err)
	}
	p, err := h.Start(t.Context(), time.Hour, "sh", "-c", machineScript, dir, l.Name+"/"+h.Name+"-systemd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = p.Stop() }) // how it ends does not matter
	m := machine{t: t, host: h}
	lab.Eventually(t, bootPatience, func() error {
		pid, err := h.Exec(t.Context(), "pgrep", "-o", "-x", "systemd")
		if err != nil {
			select {
			case <-p.Done():
				out, err := p.Wait()
				t.Fatalf("the machine does not boot: %v: %s", err, out)
			default:
			}
			return err
		}
		m.pid = pid
		_, err = m.try("systemctl is-active docker.service")
		return err
	})
	return m
}

// try runs a command as an operator would, in a shell of the machine.
func (m machine) try(command string) (string, error) { return m.exec(nil, "bash", "-c", command) }

func (m machine) exec(stdin io.Reader, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), commandPatience)
	defer cancel()
	enter := []string{"nsenter", "-t", m.pid, "-m", "-p", "-n", "-u", "-i", "-C", "--",
		"env", "-i", "-C", "/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"}
	return m.host.ExecInput(ctx, stdin, append(enter, argv...)...)
}

// run wants a command to succeed.
func (m machine) run(format string, args ...any) string {
	m.t.Helper()
	command := fmt.Sprintf(format, args...)
	out, err := m.try(command)
	if err != nil {
		journal, _ := m.try("journalctl --no-pager -n 40 -u falcon -u docker") // it may not even have one
		m.t.Fatalf("%s: %v\n%s\n%s", command, err, out, journal)
	}
	return out
}

// put writes a file of the machine.
func (m machine) put(path, content string) {
	m.t.Helper()
	if _, err := m.exec(strings.NewReader(content), "install", "-D", "-m", "644", "/dev/stdin", path); err != nil {
		m.t.Fatal(err)
	}
}

// addImage gives the machine's engine the lab's image under a name that documents and examples use.
func (m machine) addImage(name string) {
	m.t.Helper()
	image, err := lab.Image(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.exec(bytes.NewReader(image), lab.ImportCommand(name)...); err != nil {
		m.t.Fatal(err)
	}
}
