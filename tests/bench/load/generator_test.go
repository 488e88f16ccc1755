package load

import (
	"net/netip"
	"testing"
	"time"
)

func newGenerator(t *testing.T, c Config) *Generator {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func newReader(t *testing.T, c ReaderConfig) *UDPReader {
	t.Helper()
	r, err := StartUDPReader(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// runFor makes the generator send so many packets at a low rate and returns what the reader got.
func runFor(t *testing.T, g *Generator, r *UDPReader, rate float64, d time.Duration) (Sent, Counts) {
	t.Helper()
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	sent, err := g.Run(t.Context(), rate, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	counts, err := r.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return sent, counts
}

func TestEveryTemplateIsDelivered(t *testing.T) {
	for name, outer := range map[string][2]netip.Addr{"outer4": outer4, "outer6": outer6} {
		t.Run(name, func(t *testing.T) {
			top := newTopology(t, outer)
			for name, inner := range map[string][2]netip.Addr{"inner4": inner4, "inner6": inner6} {
				for _, entry := range []Entry{Stack, NAPI} {
					at := map[Entry]Device{Stack: {top.host, "uB"}, NAPI: {top.wire, "uA"}}[entry]
					t.Run(name, func(t *testing.T) {
						r := newReader(t, ReaderConfig{Namespace: top.container, CPU: 1, Listen: netip.AddrPortFrom(inner[1], flowPort), Flows: 3})
						g := newGenerator(t, Config{At: at, Entry: entry, Flows: flows(t, 3, inner), Tunnel: tunnel(t, outer), Payload: 64, Checksum: !inner[0].Is4()})
						sent, got := runFor(t, g, r, 10000, 100*time.Millisecond)
						t.Logf("%+v", sent)
						t.Logf("%+v", got.Total())
						t.Logf("%v %v %v", got.Latency.Quantile(0.5), got.Latency.Quantile(0.99), got.Latency.Max())
						for i, f := range got.Flows {
							if f.Received != sent.Flows[i].Offered || f.Lost != 0 {
								t.Errorf("flow %d: sent %+v, got %+v", i, sent.Flows[i], f)
							}
						}
					})
				}
			}
		})
	}
}
