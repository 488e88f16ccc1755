package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"falcon/driver"
	"falcon/tests/lab"
)

const (
	splitStream = 20 << 20 // bytes, there and back
	apiSocket   = "/run/falcon/" + driver.APISocket
)

// With the first stage split, real connections work as ever; where it cannot be had, status says why, and splitting begins when that
// is mended.
func TestSplit(t *testing.T) {
	f := cluster.open(t)
	f.overlay("split", "--subnet", "10.78.0.0/24")
	one, two := f.box(f.h1, "split", "one"), f.box(f.h2, "split", "two")
	two.serve(t)
	f.steerAll(f.h2, "dynamic", "--split=on")
	f.eventually(func() error { return f.splits("rxvlan off") })
	if out, err := f.try(f.h2, "falcon", "doctor"); err == nil || !strings.Contains(out, "splitting the first stage") {
		t.Errorf("doctor of a host that is told to split and cannot: %v\n%s", err, out)
	}
	f.offloads(f.h2, "rxvlan", "off")
	f.offloads(f.h1, "tx", "off")
	f.offloads(f.h2, "tx", "off")
	f.trySplit("on") // it is looked at again at once, not in half a minute
	f.eventually(func() error { return f.splits("") })
	for range 2 {
		name, err := askTCP(one.host, one.sandbox, netip.AddrPortFrom(two.v4, servicePort), splitStream)
		if err != nil || name != two.Name {
			t.Errorf("answer of %q: %v", name, err)
		}
	}
	s := f.status(f.h2).Steering.Kernel
	var frames, lost uint64
	for _, c := range s.Cores {
		frames += c.Driver.Packets
		lost += c.Queue.Drops
	}
	if least := uint64(2 * splitStream / 1500); frames < least || lost > 0 {
		t.Errorf("%d frames were seen by the driver's program, want %d at least; %d lost", frames, least, lost)
	}
	if text := f.run(f.h2, "falcon", "status"); !strings.Contains(text, "split at eth0") {
		t.Error(text)
	}
	f.trySplit("off")
	f.eventually(func() error {
		if k := f.status(f.h2).Steering.Kernel; k.Split != nil {
			return fmt.Errorf("still split: %+v", k.Split)
		}
		return nil
	})
	one.reaches(t, two.v4, two.Name)
}

// trySplit is what key p of `falcon top` does on h2.
func (f *fixture) trySplit(to string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPut, "http://falcon"+driver.SteeringPath, strings.NewReader(`{"split":"`+to+`"}`))
	if err != nil {
		f.t.Fatal(err)
	}
	answer, err := f.h2.HTTPClient("unix", apiSocket).Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		f.t.Fatal(answer.Status, err)
	}
}

// splits wants the first stage of h2 to be split, or not to be for a reason.
func (f *fixture) splits(why string) error {
	s := f.status(f.h2)
	var problem string
	for _, d := range s.Degraded {
		if strings.Contains(d.What, "splitting") {
			problem = d.Why
		}
	}
	if (s.Steering.Kernel.Split != nil) != (why == "") || !strings.Contains(problem, why) || why == "" && problem != "" {
		return fmt.Errorf("split %+v, problem %q", s.Steering.Kernel.Split, problem)
	}
	return nil
}

// offloads sets one of a host's NIC, until the end of the test.
func (f *fixture) offloads(h *lab.Host, feature, to string) {
	f.t.Helper()
	f.run(h, "ethtool", "-K", "eth0", feature, to)
	f.atEnd(func(ctx context.Context) error {
		_, err := h.Exec(ctx, "ethtool", "-K", "eth0", feature, map[string]string{"off": "on", "on": "off"}[to])
		return err
	})
}
