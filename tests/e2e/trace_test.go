package e2e

import (
	"strings"
	"testing"
)

// A person asks which way the packets of two containers go, and is told: past the devices, or why not.
func TestTrace(t *testing.T) {
	f := cluster.open(t)
	f.overlay("short", "--subnet", "10.81.0.0/24", "-o", "falcon.shortcut=on")
	f.overlay("long", "--subnet", "10.82.0.0/24", "-o", "falcon.shortcut=off")
	one, two, near := f.box(f.h1, "short", "one"), f.box(f.h2, "short", "two"), f.box(f.h1, "short", "near")
	for _, wrong := range []struct{ args, says []string }{
		{[]string{"long"}, []string{"not on the shortcut", "falcon.shortcut=on"}},
		{[]string{"none"}, []string{"none", "falcon status"}},
		{[]string{"short", "--for=1h"}, []string{"--for", "10m0s"}},
		{[]string{"short", "--address=two"}, []string{"--address", "IP address"}},
	} {
		out, err := f.try(f.h1, append([]string{"falcon", "trace"}, wrong.args...)...)
		if err == nil {
			t.Errorf("trace %v was accepted: %s", wrong.args, out)
			continue
		}
		for _, s := range wrong.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("trace %v: %v does not say %q", wrong.args, err, s)
			}
		}
	}
	type answer struct {
		out string
		err error
	}
	traced := make(chan answer, 1)
	go func() {
		out, err := f.try(f.h1, "falcon", "trace", "short", "--for=4s", "--address="+one.v4.String())
		traced <- answer{out, err}
	}()
	var a answer
	for done := false; !done; {
		one.pings(t, two.v4)
		one.pings(t, near.v4)
		select {
		case a = <-traced:
			done = true
		default:
		}
	}
	if a.err != nil {
		t.Fatal(a.err)
	}
	for _, flow := range [][3]string{
		{one.v4.String(), two.v4.String(), "out"}, {two.v4.String(), one.v4.String(), "in"}, {near.v4.String(), one.v4.String(), "local"},
	} {
		if !hasFlow(a.out, flow) {
			t.Errorf("trace does not have %v:\n%s", flow, a.out)
		}
	}
}

// hasFlow tells whether a trace has a line of pings from one address to another that went some way.
func hasFlow(text string, flow [3]string) bool {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 6 && f[0] == "icmp" && f[1] == flow[0] && f[2] == flow[1] && f[5] == flow[2] {
			return true
		}
	}
	return false
}
