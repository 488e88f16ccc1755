package load

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/tests/lab"
)

// ends are those of a conversation over a namespace's loopback.
func ends(t *testing.T, p Protocol, size int) (client, server PingConfig) {
	t.Helper()
	lab.Require(t)
	namespace := newNamespace(t)
	topology{}.in(t, namespace, "ip link set lo up")
	near, far := netip.MustParseAddrPort("127.0.0.1:5001"), netip.MustParseAddrPort("127.0.0.1:5002")
	client = PingConfig{Namespace: namespace, Protocol: p, Local: near, Remote: far, Size: size}
	server = PingConfig{Namespace: namespace, CPU: readerCPU(), Protocol: p, Local: far, Remote: near, Size: size}
	return client, server
}

func converse(t *testing.T, client, server PingConfig) (*Pinger, *EchoServer) {
	t.Helper()
	s, err := StartEchoServer(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p, err := StartPinger(client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, s
}

func TestPingerMeasuresRoundTrips(t *testing.T) {
	for _, protocol := range []Protocol{UDP, TCP} {
		for _, size := range []int{8, 16, 4096, 65000} {
			client, server := ends(t, protocol, size)
			p, s := converse(t, client, server)
			const d = 200 * time.Millisecond
			counts, err := p.Measure(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			// One after the other: together they took as long as it lasted.
			all := time.Duration(counts.Latency.Count()) * counts.Latency.Mean()
			if counts.Lost != 0 || all < d/2 || all > 2*d {
				t.Errorf("%v, %d B: round trips took %v in %v, %d lost", protocol, size, all, d, counts.Lost)
			}
			t.Logf("%v, %d B: p50 %v, p99 %v", protocol, size, counts.Latency.Quantile(0.5), counts.Latency.Quantile(0.99))
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			// The server takes the next one by the same ports.
			if p, err = StartPinger(client); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Measure(t.Context(), 20*time.Millisecond); err != nil {
				t.Error(err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestPingerCountsWhatIsLost(t *testing.T) {
	client, server := ends(t, UDP, 16)
	p, s := converse(t, client, server)
	if _, err := p.Measure(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(s.helper.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * pingPatience)
	if _, err := p.Measure(t.Context(), 4*pingPatience); err == nil {
		t.Error("round trips without a server")
	}
	if err := process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// Answers to requests that were given up count as none.
	counts, err := p.Measure(t.Context(), 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Latency.Max() > 2*pingPatience {
		t.Errorf("a round trip of %v", counts.Latency.Max())
	}
}

func TestPingerEndsWithItsContext(t *testing.T) {
	client, server := ends(t, UDP, 16)
	p, _ := converse(t, client, server)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Measure(ctx, time.Minute); err == nil {
		t.Error("measured")
	}
}

func TestPingersThatCannotBeAreRefused(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:1")
	for want, c := range map[string]PingConfig{
		"port":     {Size: 16},
		"size 7":   {Local: at, Remote: at, Size: 7},
		"protocol": {Local: at, Remote: at, Size: 16, Protocol: 2},
	} {
		if _, err := StartPinger(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pinger: got %v, want something about %s", err, want)
		}
		if _, err := StartEchoServer(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("server: got %v, want something about %s", err, want)
		}
	}
}
