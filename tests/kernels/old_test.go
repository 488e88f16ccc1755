package kernels

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// old is a kernel that lacks some of what falcon needs.
var old = release{"5.10", "linux-image-amd64", "bullseye"}

func TestOldKernel(t *testing.T) {
	g := prepare(t, old, map[string]string{"/old.sh": "old.sh", "/datapath.test": buildTest(t), "/usr/bin/falcon": filepath.Join(root, "bin", "falcon")},
		"/usr/bin/sh", "/old.sh")
	g.environment = environment
	t.Parallel() // with the others
	console, _, err := boot(t, old, g)
	_, verdict := judge(console)
	if err := errors.Join(verdict, err); err != nil {
		t.Errorf("what is to work does not: %v", err)
	}
	for _, want := range []struct{ command, says, status string }{
		{"falcon version", "shortcut programs  no", "0"},
		{"falcon status", "DEGRADED steering: programs: load steering: Linux 5.10.", "0"},
		{"falcon doctor", "FAIL  steering programs  load steering: Linux 5.10.", "1"},
		{"falcon doctor", "FAIL  shortcut programs  load shortcut: Linux 5.10.", "1"},
		{"falcon doctor", "note  kernel             Linux 5.10.", "1"},
		{"falcon doctor", "-> falcon is made for Linux 5.15 and later: run a newer kernel", "1"},
		{"falcon doctor", " is too old, 5.15 is needed: ", "1"},
		{"falcon doctor", "-> needs Linux 5.15 with ", "1"},
		{"wait ", "", "0"},
	} {
		_, said, _ := strings.Cut("\n"+console, "\n$ "+want.command)
		said, rest, ended := strings.Cut(said, "\nexit status ")
		if !strings.Contains(said, want.says) || !ended || !strings.HasPrefix(rest, want.status+"\n") {
			t.Errorf("%s: want %q and exit status %s", want.command, want.says, want.status)
		}
	}
	if !strings.Contains(console, `"kernel":"5.10.`) {
		t.Error("the daemon's log does not tell of the kernel")
	}
	if t.Failed() {
		t.Logf("console:\n%s", console)
	}
}
