package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"falcon/datapath"
	"falcon/driver"
)

func TestClockAdvice(t *testing.T) {
	for unkept, advice := range map[bool]bool{true: true, false: false} {
		if f := judgeClock(datapath.Finding{Check: "clock", OK: true}, unkept); !f.OK || (f.Advice != "") != advice {
			t.Errorf("unkept %v: %+v", unkept, f)
		}
	}
}

func TestDriversOfTheSameName(t *testing.T) {
	dir := t.TempDir()
	if f := examineDrivers([]string{dir}); !f.OK || f.Advice != "" {
		t.Errorf("none: %+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "falcon.spec"), []byte("tcp://192.0.2.1:5000"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := examineDrivers([]string{dir}); !f.OK || f.Advice == "" || !strings.Contains(f.Detail, dir+"/falcon.spec") {
		t.Errorf("one: %+v", f)
	}
}

func TestOrphans(t *testing.T) {
	owned := datapath.Owned{Networks: []datapath.OwnedNetwork{{Name: "web", VNI: 5}, {Name: "old", VNI: 6}}, Endpoints: []datapath.OwnedEndpoint{{ID: "e"}}}
	status := &driver.Status{Networks: []driver.NetworkStatus{{Name: "web", VNI: 5}}}
	for _, c := range []struct {
		owned  datapath.Owned
		status *driver.Status
		says   string
		advice string
	}{
		{owned, status, "old (VNI 6)", "log says why"},
		{datapath.Owned{Networks: owned.Networks[:1]}, status, "no device is left", ""},
		{owned, nil, "2 networks and 1 endpoints", "falcon uninstall"},
		{datapath.Owned{}, nil, "0 networks", ""},
	} {
		f := judgeOrphans(datapath.Finding{Check: "orphans", OK: true}, c.owned, c.status)
		if !f.OK || !strings.Contains(f.Detail, c.says) || !strings.Contains(f.Advice, c.advice) || (f.Advice == "") != (c.advice == "") {
			t.Errorf("%+v", f)
		}
	}
}

// Only what has advice and a safe remedy is touched, and each is told.
func TestRepair(t *testing.T) {
	var done []string
	remedy := func(name string, err error) func() error {
		return func() error { done = append(done, name); return err }
	}
	var out bytes.Buffer
	fixed := repair(&out, []datapath.Finding{
		{Check: "good", OK: true, Fix: remedy("good", nil)},
		{Check: "low", OK: true, Advice: "raise it", Fix: remedy("low", nil)},
		{Check: "stuck", Advice: "mount it", Fix: remedy("stuck", errors.New("read-only"))},
		{Check: "for a person", Advice: "think"},
	})
	if fixed != 1 || strings.Join(done, " ") != "low stuck" {
		t.Errorf("fixed %d, tried %q", fixed, done)
	}
	for _, want := range []string{"low: fixed until the next boot: raise it", "stuck: not fixed: read-only"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("says %q, want %q", out.String(), want)
		}
	}
}
