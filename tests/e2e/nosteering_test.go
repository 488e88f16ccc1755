package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// bpffs of a host.
const hostBPFFS = "/sys/fs/bpf"

// steerAll restarts a host's falcon with steering, which packets that take the shortcut do not meet, until the end of the test.
func (f *fixture) steerAll(h *lab.Host, mode string, more ...string) {
	f.t.Helper()
	f.restartFalcon(h, append([]string{"--steering=" + mode, "--shortcut=off"}, more...)...)
}

// loggedSince gives what a host's falcon has logged after so many bytes.
func (f *fixture) loggedSince(h *lab.Host, start int) string {
	f.t.Helper()
	log, err := os.ReadFile(h.Plugin.Log)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(log[start:])
}

// Where steering cannot be had, falcon starts, carries packets, says so once, and lists it as degraded.
func TestServeWithoutSteering(t *testing.T) {
	for _, c := range []struct {
		name, break_, mend, why string
		fixable                 bool
	}{
		{"read-only bpffs", "mount -o remount,bind,ro " + hostBPFFS, "mount -o remount,bind,rw " + hostBPFFS, "read-only file system", false},
		{"no bpffs", "mount -t tmpfs none " + hostBPFFS, "umount " + hostBPFFS, "not in a bpffs", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := single.open(t)
			f.run(f.h1, "sh", "-c", c.break_)
			f.atEnd(func(ctx context.Context) error {
				_, err := f.h1.Exec(ctx, "sh", "-c", c.mend)
				return err
			})
			start := len(f.loggedSince(f.h1, 0))
			f.steerAll(f.h1, "dynamic")
			f.eventually(func() error { return f.degradedBy("steering: programs", c.why) })
			for i, name := range []string{"plain", "other"} {
				f.network(f.h1, name, "-d", "falcon", "-o", "falcon.network="+name, "--subnet", fmt.Sprintf("10.77.%d.0/24", i))
			}
			one, two := f.box(f.h1, "plain", "one"), f.box(f.h1, "plain", "two")
			one.pings(t, two.v4)
			f.eventually(func() error { return f.degradedBy("steering: network other, network plain, programs", c.why) })
			if text := f.run(f.h1, "falcon", "status"); strings.Count(text, "DEGRADED") != 1 || !strings.Contains(text, c.why) {
				t.Errorf("status:\n%s", text)
			}
			log := f.loggedSince(f.h1, start)
			if n := strings.Count(log, "level=warning"); n != 1 || !strings.Contains(log, c.why) {
				t.Errorf("%d warnings in the log, want one:\n%s", n, log)
			}
			out, err := f.try(f.h1, "falcon", "doctor")
			if exitCode(err) != 1 || !strings.HasPrefix(findingOf(out, "bpffs"), "FAIL") || !strings.Contains(out, "-> mount ") {
				t.Errorf("doctor: %v\n%s", err, out)
			}
			if c.fixable {
				f.fixed(t)
			}
		})
	}
}

// fixed has the doctor mount the bpffs that is missing, and falcon find it.
func (f *fixture) fixed(t *testing.T) {
	t.Helper()
	out := f.run(f.h1, "sh", "-c", "falcon doctor --fix 2>&1 || true") // the daemon has not looked yet
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h1.Exec(ctx, "umount", hostBPFFS)
		return err
	})
	if !strings.Contains(out, "bpffs: fixed until the next boot: mount -t bpf bpf "+hostBPFFS) || !strings.Contains(out, "ok    bpffs") {
		t.Errorf("doctor --fix:\n%s", out)
	}
	f.restartFalcon(f.h1, "--steering=dynamic", "--shortcut=off")
	f.healthy(f.h1)
}

// degradedBy wants one thing to be degraded, for a reason.
func (f *fixture) degradedBy(what, why string) error {
	d := f.status(f.h1).Degraded
	if len(d) != 1 || d[0].What != what || !strings.Contains(d[0].Why, why) {
		return fmt.Errorf("degraded: %+v, want %s because of: %s", d, what, why)
	}
	return nil
}

// A host that cannot steer, and need not, is well.
func TestDoctorWithoutSteering(t *testing.T) {
	f := single.open(t)
	f.run(f.h1, "mount", "-t", "tmpfs", "none", hostBPFFS)
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h1.Exec(ctx, "umount", hostBPFFS)
		return err
	})
	out := f.run(f.h1, "falcon", "doctor")
	if line := findingOf(out, "bpffs"); !strings.HasPrefix(line, "note") {
		t.Errorf("%q in:\n%s", line, out)
	}
}

// The doctor looks at a host that steers, and touches nothing of what its daemon has pinned.
func TestDoctorOfSteering(t *testing.T) {
	f := single.open(t)
	f.network(f.h1, "steered", "-d", "falcon", "--subnet", "10.78.0.0/24")
	f.box(f.h1, "steered", "one")
	f.steerAll(f.h1, "dynamic")
	pins := func() string { return f.run(f.h1, "ls", "-i", hostBPFFS+"/falcon") }
	f.eventually(func() error {
		if s := f.status(f.h1); s.Steering.Kernel.CPUs == "" || len(s.Degraded) > 0 {
			return fmt.Errorf("it does not steer: %+v", s)
		}
		return nil
	})
	before := pins()
	f.run(f.h1, "sh", "-c", "echo 1 > /sys/class/net/eth0/queues/rx-0/rps_cpus")
	f.atEnd(func(ctx context.Context) error {
		_, err := f.h1.Exec(ctx, "sh", "-c", "echo 0 > /sys/class/net/eth0/queues/rx-0/rps_cpus")
		return err
	})
	out := f.run(f.h1, "falcon", "doctor")
	for check, part := range map[string]string{
		"steering programs": "ok", "poll tracepoint": "ok", "steering hooks": "clsact", "steering masks": "ok", "bpffs": "ok",
		"steering CPUs": "ok", "backlog": "ok", "NIC queues": "note  NIC queues         RPS spreads packets of eth0", "NIC programs": "none comes before",
		"RFS": "does not override",
	} {
		if line := findingOf(out, check); !strings.Contains(line, part) {
			t.Errorf("%s: %q is not in %q of:\n%s", check, part, line, out)
		}
	}
	if after := pins(); !strings.Contains(before, "polls") || after != before {
		t.Errorf("pins were\n%s\nare\n%s", before, after)
	}
}
