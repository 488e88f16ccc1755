package install

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"falcon/tests/lab"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commands are the lines of a document's shell blocks below a heading, up to the next of the same kind.
func commands(t *testing.T, file, heading string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no part %q", file, heading)
	}
	below, _, _ = strings.Cut(below, "\n## ")
	var lines []string
	for _, block := range shellBlock.FindAllStringSubmatch(below, -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	if len(lines) == 0 {
		t.Fatalf("%s has no commands in part %q", file, heading)
	}
	return lines
}

// follow runs a document's commands on the machine, and those of make here.
func (m machine) follow(file, heading string) {
	m.t.Helper()
	for _, line := range commands(m.t, file, heading) {
		if !strings.HasPrefix(line, "make ") {
			m.run("%s", line)
			continue
		}
		here(m.t, line)
		m.supply()
	}
}

// here runs a command at the project's root.
func here(t *testing.T, line string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// supply gives the machine what somebody would copy there.
func (m machine) supply() {
	m.t.Helper()
	archive := exec.CommandContext(m.t.Context(), "bash", "-c",
		"tar -c $(ls -d bin/falcon packaging out/plugin out/falcon_*.deb 2>/dev/null) -C packaging/compose single-host.yml $(cd out && ls falcon_*.deb 2>/dev/null | sed 's,^,-C ../../out ,')")
	archive.Dir = root
	content, err := archive.Output()
	if err != nil {
		m.t.Fatalf("pack what the machine is to have: %v", err)
	}
	if _, err := m.exec(bytes.NewReader(content), "tar", "-x", "-C", "/root"); err != nil {
		m.t.Fatal(err)
	}
}

// All commands of the page about installation are run as they stand there, on a machine that has none of falcon's.
func TestInstallationPage(t *testing.T) {
	const page = "docs/installation.md"
	removePackages(t)
	l := lab.New(t, lab.Options{Hosts: 1, Etcd: true})
	m := boot(t, l, l.Hosts[0])
	m.addImage("busybox:latest")
	m.addImage("nginx:alpine")
	bare := m.traces()
	for _, way := range []string{"Debian and Ubuntu", "Managed plugin", "Binary and unit", "Container"} {
		ok := t.Run(way, func(t *testing.T) {
			m := machine{t, m.host, m.pid}
			if way == "Container" {
				m.loadImage()
			}
			m.follow(page, way)
			if way == "Managed plugin" {
				m.follow("docs/plugin.md", "Install")
			}
			if left := m.traces(); left != bare {
				t.Errorf("left:\n%s\nbefore:\n%s", left, bare)
			}
		})
		if !ok {
			break // the next one wants a host without falcon
		}
	}
}

// The commands of the README's quick start, and then those of who comes from another driver.
func TestQuickStart(t *testing.T) {
	removePackages(t)
	here(t, "make deb")
	l := lab.New(t, lab.Options{Hosts: 1, Etcd: true})
	m := boot(t, l, l.Hosts[0])
	for _, image := range []string{"busybox:latest", "nginx:alpine", "nginx:latest"} {
		m.addImage(image)
	}
	m.supply()
	for _, line := range commands(t, "README.md", "Quick start") {
		if strings.HasPrefix(line, "git clone") {
			continue // these are the sources
		}
		if strings.HasPrefix(line, "make ") {
			here(t, line)
			continue
		}
		if strings.HasPrefix(line, "echo FALCON_STORE") { // networks belong to the store that they were made in
			m.run("docker-compose -f packaging/compose/single-host.yml down && docker network rm mynet")
		}
		m.run("%s", line)
	}
	if says := m.run("docker inspect -f '{{.State.Running}}' one"); says != "true" {
		t.Errorf("container one runs: %s", says)
	}
	m.run("docker network create old && docker run -d --name app --network old busybox")
	m.follow("docs/migration.md", "Step by step")
	if says := m.run("docker exec app ip -o -4 addr"); !strings.Contains(says, "10.60.0.") {
		t.Errorf("the container that moved has\n%s", says)
	}
}

// removePackages leaves no package of another version, which a pattern would find too.
func removePackages(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "out", "falcon_*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// loadImage gives the machine's engine an image as the Dockerfile's last stage makes it, of the binary that is here: TestDockerfile builds the whole.
func (m machine) loadImage() {
	m.t.Helper()
	m.run("mkdir -p /root/image && cp bin/falcon /root/image/falcon")
	m.put("/root/image/Dockerfile", "FROM scratch\nCOPY falcon /falcon\nENTRYPOINT [\"/falcon\"]\nCMD [\"serve\"]\n")
	m.run("docker build -q -t falcon /root/image && rm -r /root/image")
}
