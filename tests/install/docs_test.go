package install

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// followed are the parts of documents whose commands a test runs: headings, or "" for what stands before the first.
var followed = map[string][]string{
	"README.md":            {"Quick start"},
	"docs/installation.md": {"Debian and Ubuntu", "Managed plugin", "Binary and unit", "Container"},
	"docs/metrics.md":      {""},
	"docs/migration.md":    {"Step by step"},
	"docs/operations.md":   {""},
	"docs/plugin.md":       {"Install"},
	"docs/security.md":     {"What is between containers"},
	"docs/shortcut.md":     {"Turn it on", "See that it works"},
	"docs/swarm.md":        {""}, // by TestSwarm of tests/e2e
	"docs/top.md":          {""},
	"docs/bench/README.md": {""}, // by nobody: it takes an hour
}

// Commands that a document gives are run, so that they work.
func TestEveryPageIsFollowed(t *testing.T) {
	found := map[string][]string{}
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			file := strings.TrimPrefix(f, root+"/")
			for _, p := range parts(t, file) {
				if len(p.commands) > 0 {
					found[file] = append(found[file], p.heading)
				}
			}
		}
	}
	if !maps.EqualFunc(found, followed, slices.Equal) {
		t.Errorf("parts of documents with commands:\n%q\nthose that are run:\n%q", found, followed)
	}
}

// part is what stands below a heading of a document.
type part struct {
	heading  string
	commands []string // the lines of its shell blocks
}

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// parts takes a document apart.
func parts(t *testing.T, file string) (all []part) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	for i, section := range strings.Split(string(text), "\n## ") {
		p := part{}
		if i > 0 {
			p.heading, section, _ = strings.Cut(section, "\n")
		}
		for _, block := range shellBlock.FindAllStringSubmatch(section, -1) {
			p.commands = append(p.commands, strings.Split(strings.TrimSpace(block[1]), "\n")...)
		}
		all = append(all, p)
	}
	return all
}

// commands are those of a part of a document that is followed.
func commands(t *testing.T, file, heading string) []string {
	t.Helper()
	all := parts(t, file)
	i := slices.IndexFunc(all, func(p part) bool { return p.heading == heading })
	if i < 0 || !slices.Contains(followed[file], heading) {
		t.Fatalf("%s has no part %q that is followed", file, heading)
	}
	return all[i].commands
}

// follow runs a document's commands on the machine, and those of make here. It gives what they print.
func (m machine) follow(file, heading string) (says string) {
	m.t.Helper()
	for _, line := range commands(m.t, file, heading) {
		if !strings.HasPrefix(line, "make ") {
			says += m.run("%s", line) + "\n"
			continue
		}
		here(m.t, line)
		m.supply()
	}
	return says
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
	m.composeOf("README.md")
	for _, c := range []struct{ page, heading, says string }{
		{"docs/shortcut.md", "Turn it on", ""},
		{"docs/shortcut.md", "See that it works", "shortcut"},
		{"docs/top.md", "", "total"},
		{"docs/operations.md", "", "falcon is ready"},
		{"docs/metrics.md", "", "falcon_ready 1"},
		{"docs/security.md", "What is between containers", ""},
	} {
		if says := m.follow(c.page, c.heading); !strings.Contains(says, c.says) {
			t.Errorf("%s does not make it say %q:\n%s", c.page, c.says, says)
		}
	}
}

// composeOf starts and ends the services of a document's compose file.
func (m machine) composeOf(page string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		m.t.Fatal(err)
	}
	_, file, _ := strings.Cut(string(text), "\n```yaml\n")
	file, _, found := strings.Cut(file, "\n```\n")
	if !found {
		m.t.Fatalf("%s has no compose file", page)
	}
	m.put("/root/compose/docker-compose.yml", file+"\n")
	m.run("cd compose && docker-compose up -d")
	if says := m.run("docker network ls --filter driver=falcon --format '{{.Name}}'; docker ps --format '{{.Names}} {{.Ports}}'"); !strings.Contains(says, "compose_front") || !strings.Contains(says, "8080->80") {
		m.t.Errorf("services run as\n%s", says)
	}
	m.run("cd compose && docker-compose down")
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
