package subject

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/report"
	"falcon/tests/lab"
)

func TestMain(m *testing.M) {
	// The readers of package load are this program, started anew.
	if ran, err := load.Helper(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, "reader:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestBed opens one bed, which takes seconds, for all that needs one.
func TestBed(t *testing.T) {
	lab.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	b, err := Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endBed(t, b) })
	t.Logf("opened in %v", time.Since(began))
	for tool, version := range b.Versions(ctx) {
		if version == "" || strings.Contains(version, " ") {
			t.Errorf("version of %s: %q", tool, version)
		}
	}
	for _, s := range b.Subjects() {
		if s.Missing != "" {
			t.Logf("%s is missing: %s", s.Name, s.Missing)
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			if err := b.Enter(ctx, s); err != nil {
				t.Fatal(err)
			}
			testFrames(ctx, t, b, s)
			testTraffic(ctx, t, b, s)
		})
	}
	t.Run("rps", func(t *testing.T) { testTurns(ctx, t, b) })
	t.Run("rules", func(t *testing.T) { testRules(ctx, t, b) })
	t.Run("refusals", func(t *testing.T) { testRefusals(ctx, t, b) })
}

// testTurns lets subjects of one network take turns that differ in RPS.
func testTurns(ctx context.Context, t *testing.T, b *Bed) {
	for i, name := range []string{report.OverlayRPS, report.Overlay, report.OverlayRPS, report.Host} {
		s := b.subject(t, name)
		if err := b.Enter(ctx, s); err != nil {
			t.Fatal(err)
		}
		// The host is looked at where the overlay is.
		s.kind.network = overlay
		testRPS(ctx, t, b, s, i+1)
	}
}

// testRules has the hosts lose their netfilter's rules and get them back.
func testRules(ctx context.Context, t *testing.T, b *Bed) {
	rules := func(name string) string {
		if err := b.Enter(ctx, b.subject(t, name)); err != nil {
			t.Fatal(err)
		}
		out, err := b.Receiver.Exec(ctx, "sh", "-c", "iptables-save | grep ^-A; ip6tables-save | grep ^-A; nft list tables | grep -v inet; true")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	with := rules(report.Host)
	if !strings.Contains(with, "DOCKER") || !strings.Contains(with, "conntrack") {
		t.Errorf("a host has no rules:\n%s", with)
	}
	if without := rules(report.Bare); without != "" {
		t.Errorf("left:\n%s", without)
	}
	if again := rules(report.Host); again != with {
		t.Errorf("put back:\n%s\nbefore:\n%s", again, with)
	}
}

func (b *Bed) subject(t *testing.T, name string) Subject {
	t.Helper()
	i := slices.IndexFunc(b.subjects, func(s Subject) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no subject %s", name)
	}
	return b.subjects[i]
}

func testRefusals(ctx context.Context, t *testing.T, b *Bed) {
	s := b.subject(t, report.Overlay)
	from, to := pair(ctx, t, b, s)
	for want, paths := range map[string][]Path{
		"no paths":  nil,
		"must lead": {{from, to, 1, 2}, {to, from, 1, 2}},
	} {
		if _, err := b.Frames(s, paths...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %q", err, want)
		}
	}
	s.Missing = "not built"
	_, err := b.Place(ctx, s, b.Sender, 0)
	for what, err := range map[string]error{"place": err, "enter": b.Enter(ctx, s)} {
		if err == nil || !strings.Contains(err.Error(), s.Missing) {
			t.Errorf("%s of a missing subject: got %v", what, err)
		}
	}
}

func endBed(t *testing.T, b *Bed) {
	if t.Failed() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		file, err := b.lab.SaveReport(ctx, t.Name())
		t.Log("state of the lab at the time of the failure:", file, err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
}

// pair is the first place of either host.
func pair(ctx context.Context, t *testing.T, b *Bed, s Subject) (from, to Place) {
	t.Helper()
	from, err := b.Place(ctx, s, b.Sender, 0)
	if err != nil {
		t.Fatal(err)
	}
	if to, err = b.Place(ctx, s, b.Receiver, 0); err != nil {
		t.Fatal(err)
	}
	return from, to
}

const port = 5001

// testFrames shows that all frames arrive, and no others.
func testFrames(ctx context.Context, t *testing.T, b *Bed, s Subject) {
	from, to := pair(ctx, t, b, s)
	const flows, packets = 2, 500
	r, err := load.StartUDPReader(load.ReaderConfig{
		Namespace: to.Device.Namespace, CPU: b.Cores.App, Listen: netip.AddrPortFrom(to.Addr, port), Flows: flows,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := b.Frames(s, Path{from, to, 40000, port}, Path{from, to, 40001, port})
	if err != nil {
		t.Fatal(err)
	}
	c.Payload = 64
	g, err := load.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	sent, err := g.Run(ctx, 10*packets, time.Second/10)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(ctx, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	counts, err := r.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if got := counts.Total(); got.Received != packets || sent.Packets() != packets || counts.Foreign != 0 {
		t.Errorf("sent %d of %d packets, %d arrived, %d foreign ones", sent.Packets(), packets, got.Received, counts.Foreign)
	}
}

// testTraffic sends from a real sender.
func testTraffic(ctx context.Context, t *testing.T, b *Bed, s Subject) {
	from, to := pair(ctx, t, b, s)
	server, err := to.Start(ctx, 10*time.Second, b.Cores.App, "iperf3", "--server", "--one-off", "--port", "5201")
	if err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, 10*time.Second, func() error {
		_, err := from.Exec(ctx, b.Cores.Client, "iperf3", "--client", to.Addr.String(), "--bytes", "1M")
		return err
	})
	if _, err := server.Wait(); err != nil {
		t.Error(err)
	}
}
