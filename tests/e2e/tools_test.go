package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"falcon/datapath"
	"falcon/driver"
	"falcon/tests/lab"
)

// status is what `falcon status --json` says; a field that is not documented fails the test.
func (f *fixture) status(h *lab.Host) driver.Status {
	f.t.Helper()
	var s driver.Status
	decoder := json.NewDecoder(bytes.NewReader([]byte(f.run(h, "falcon", "status", "--json"))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		f.t.Fatalf("status --json on %s: %v", h.Name, err)
	}
	return s
}

// healthy checks that the doctor finds nothing, and that nothing is degraded.
func (f *fixture) healthy(h *lab.Host) {
	f.t.Helper()
	var findings []datapath.Finding
	if err := json.Unmarshal([]byte(f.run(h, "falcon", "doctor", "--json")), &findings); err != nil {
		f.t.Fatal(err)
	}
	for _, found := range findings {
		if found.Check != "clock" && (!found.OK || found.Advice != "") { // nobody may keep this machine's clock
			f.t.Errorf("doctor on %s: %+v", h.Name, found)
		}
	}
	if s := f.status(h); !s.Ready || len(s.Degraded) > 0 || s.Store.Error != "" {
		f.t.Errorf("%s is not well: %+v", h.Name, s)
	}
}

// findingOf is the line of the doctor's output about something.
func findingOf(out, check string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "  "+check) {
			return line
		}
	}
	return ""
}

// exitCode is 0 for no error, and -1 for one that tells of no exit.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// Status says what there is, for people and for programs.
func TestStatus(t *testing.T) {
	f := cluster.open(t)
	f.overlay("seen", "--internal", "--ipv6", "--subnet", "10.72.0.0/24", "--subnet", "fd72::/64", "-o", "falcon.vni=7200")
	one, two := f.box(f.h1, "seen", "one"), f.box(f.h2, "seen", "two")
	f.box(f.h2, "seen", "three")
	f.eventually(func() error { // h1 hears of the others by and by
		if s := f.status(f.h1); len(s.Networks) != 1 || s.Networks[0].Remote != 2 {
			return errors.New("status does not show two remote endpoints")
		}
		return nil
	})
	s := f.status(f.h1)
	if s.Host.Name != "h1" || s.Host.Underlay.Address != f.h1.Addr || s.Host.Underlay.Interface != "eth0" || s.Host.Underlay.MTU != 1500 || s.Host.Port != vxlanPort {
		t.Errorf("host: %+v", s.Host)
	}
	if len(s.Peers) != 1 || s.Peers[0].Name != "h2" || s.Peers[0].Underlay != f.h2.Addr || !s.Peers[0].Alive || s.Peers[0].Networks != 1 {
		t.Errorf("peers: %+v", s.Peers)
	}
	if s.Store.Kind != "etcd" || !strings.Contains(s.Store.Where, f.EtcdAddr()) || s.Store.Error != "" {
		t.Errorf("store: %+v", s.Store)
	}
	n := s.Networks[0]
	subnets := []netip.Prefix{netip.MustParsePrefix("10.72.0.0/24"), netip.MustParsePrefix("fd72::/64")}
	if n.Name != "seen" || n.VNI != 7200 || n.MTU != 1450 || !n.Internal || !slices.Equal(n.Subnets, subnets) || !slices.Equal(n.Hosts, []string{"h1", "h2"}) {
		t.Errorf("network: %+v", n)
	}
	if id := f.docker(f.h1, "network", "inspect", "--format", "{{.Id}}", "seen"); n.DockerID != id {
		t.Errorf("network has the ID %s, Docker says %s", n.DockerID, id)
	}
	if len(n.Endpoints) != 1 {
		t.Fatalf("endpoints: %+v", n.Endpoints)
	}
	e := n.Endpoints[0]
	want := []netip.Prefix{netip.PrefixFrom(one.v4, 24), netip.PrefixFrom(one.v6, 64)}
	if e.MAC != one.nets["seen"].MacAddress || !slices.Equal(e.Addresses, want) || !e.Joined {
		t.Errorf("endpoint: %+v, want %v and MAC %s", e, want, one.nets["seen"].MacAddress)
	}
	f.run(f.h1, "ip", "link", "show", e.Device)

	text := f.run(f.h1, "falcon", "status")
	for _, part := range []string{"seen", "7200", "1450", "internal", "fbr-7200", "fvx-7200", one.v4.String(), one.v6.String(),
		"1 here, 2 on other hosts", "h2", "answers", "nothing is degraded"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in the status:\n%s", part, text)
		}
	}
	if strings.Contains(text, two.v4.String()) {
		t.Errorf("status shows an endpoint of another host as its own:\n%s", text)
	}
	for _, h := range f.Hosts {
		f.healthy(h)
	}
}

func TestStatusWithoutDaemon(t *testing.T) {
	f := single.open(t)
	out, err := f.try(f.h1, "falcon", "status", "--run-dir", "/tmp/none")
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "/tmp/none/api.sock") || !strings.Contains(err.Error(), "falcon serve") {
		t.Errorf("got %q, %v", out, err)
	}
}

// Doctor's findings with and without a daemon, and with flags that ask for what there is not.
func TestDoctor(t *testing.T) {
	f := single.open(t)
	f.healthy(f.h1)
	for _, c := range []struct {
		name string
		args []string
		exit int
		want []string // "CHECK: what its line contains"
	}{
		{"daemon", nil, 0, []string{"daemon: version", "underlay: 10.99.0.1 on eth0, MTU 1500: 1450 inside", "store: bolt"}},
		{"no daemon", []string{"--run-dir=/tmp/none", "--underlay=eth0"}, 0, []string{"daemon: not running", "underlay: eth0"}},
		{"no daemon, no default route", []string{"--run-dir=/tmp/none"}, 1, []string{"underlay: FAIL"}},
		{"no such underlay", []string{"--underlay=nope0"}, 1, []string{"underlay: FAIL", "underlay: nope0", "vxlan port: ok"}},
		{"address", []string{"--run-dir=/tmp/none", "--underlay=" + f.h1.Addr6.String()}, 0, []string{"underlay: 1430 inside"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := f.try(f.h1, append([]string{"falcon", "doctor"}, c.args...)...)
			if exitCode(err) != c.exit {
				t.Errorf("exit status %d, want %d: %v\n%s", exitCode(err), c.exit, err, out)
			}
			for _, want := range c.want {
				check, part, _ := strings.Cut(want, ": ")
				if line := findingOf(out, check); !strings.Contains(line, part) {
					t.Errorf("%q is not in %q of:\n%s", part, line, out)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	f := single.open(t)
	out := f.run(f.h1, "falcon", "version")
	first := regexp.MustCompile(`^falcon \S+ \(commit \S+, go\S+, linux/\w+\)\nkernel ` + regexp.QuoteMeta(f.run(f.h1, "uname", "-r")) + "\n")
	if !first.MatchString(out) {
		t.Errorf("got:\n%s\nwant: %s", out, first)
	}
	// The lab's kernel can do all.
	for _, line := range strings.Split(out, "\n")[2:] {
		if !strings.HasSuffix(line, " yes") {
			t.Errorf("feature: %s", line)
		}
	}
}

// A path that is narrower than the interfaces at its ends is found, and so are peers that answer.
func TestDoctorTriesPaths(t *testing.T) {
	f := cluster.open(t)
	f.overlay("wide", "--subnet", "10.88.0.0/24")
	f.eventually(func() error {
		if len(f.status(f.h1).Peers) != 1 {
			return errors.New("h1 does not know h2")
		}
		return nil
	})
	if out := f.run(f.h1, "falcon", "doctor"); !strings.HasPrefix(findingOf(out, "path to h2"), "ok") {
		t.Errorf("a good path:\n%s", out)
	}
	f.run(f.h2, "ip", "link", "set", "eth0", "mtu", "1400") // so it drops what is larger
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h2.Exec(ctx, "ip", "link", "set", "eth0", "mtu", "1500")
		return err
	})
	out, err := f.try(f.h1, "falcon", "doctor", "--json")
	var findings []datapath.Finding
	if bad := json.Unmarshal([]byte(out), &findings); bad != nil || exitCode(err) != 1 {
		t.Fatalf("%v, %v: %s", bad, err, out)
	}
	i := slices.IndexFunc(findings, func(f datapath.Finding) bool { return f.Check == "path to h2" })
	if i < 0 || findings[i].OK || !strings.Contains(findings[i].Detail, "1500") || !strings.Contains(findings[i].Advice, "driver.mtu") {
		t.Errorf("findings: %+v", findings)
	}
}
