package load

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func newSink(t *testing.T, c SinkConfig) *TCPSink {
	t.Helper()
	c.CPU = readerCPU()
	s, err := StartTCPSink(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// streams are those of some flows.
func streams(flows []Flow) []Stream {
	var all []Stream
	for _, f := range flows {
		all = append(all, Stream{Local: f.Dst, Remote: f.Src})
	}
	return all
}

const mss = 1410

// pump runs streams for a while and checks that all that was acknowledged arrived, and nothing else.
func pump(t *testing.T, top topology, c Config, d time.Duration) (Sent, SinkCounts) {
	t.Helper()
	g := newGenerator(t, c)
	s := newSink(t, SinkConfig{Namespace: top.container, Streams: streams(c.Flows), Sequence: c.Sequence, MSS: c.Payload})
	sent, err := g.Run(t.Context(), 0, d)
	if err != nil {
		t.Fatal(err)
	}
	got := taken(t, s, sent)
	state, err := g.streams()
	if err != nil {
		t.Fatal(err)
	}
	for i, stream := range got.Streams {
		if stream.Bytes == 0 || stream.Bytes < sent.Flows[i].Stream || stream.Bytes > sent.Flows[i].Packets*uint64(c.Payload) {
			t.Errorf("stream %d: got %d bytes, acknowledged %d, sent %d segments", i, stream.Bytes, sent.Flows[i].Stream, sent.Flows[i].Packets)
		}
		// All that is in order has been acknowledged but for what a delayed acknowledgement covers.
		if behind := stream.Bytes - state[i].Delivered; behind > uint64(2*c.Payload) {
			t.Errorf("stream %d: %d bytes not acknowledged", i, behind)
		}
		if (stream.Bytes-uint64(state[i].Next-c.Sequence))%(1<<32) != 0 && sent.Flows[i].Retransmits == 0 {
			t.Errorf("stream %d: got %d bytes, sent up to %d", i, stream.Bytes, state[i].Next-c.Sequence)
		}
	}
	t.Logf("%.2f Gbit/s, sent %+v, got %+v", float64(got.Bytes())*8/sent.Elapsed.Seconds()/1e9, sent, got.Streams)
	return sent, got
}

// taken is what a sink has read when it has come to what was acknowledged, which it may be late with on a busy machine.
func taken(t *testing.T, s *TCPSink, sent Sent) SinkCounts {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		// The last acknowledgement may be delayed.
		if err := s.Drain(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		got, err := s.Counts()
		if err != nil {
			t.Fatal(err)
		}
		behind := false
		for i, stream := range got.Streams {
			behind = behind || stream.Bytes < sent.Flows[i].Stream
		}
		if !behind || time.Now().After(deadline) {
			return got
		}
	}
}

func TestTCPStreamsArrive(t *testing.T) {
	for name, outer := range map[string][2]netip.Addr{"outer4": outer4, "outer6": outer6} {
		top := newTopology(t, outer)
		for family, inner := range map[string][2]netip.Addr{"inner4": inner4, "inner6": inner6} {
			for entry, by := range []string{"stack", "NAPI"} {
				t.Run(strings.Join([]string{name, family, by}, "/"), func(t *testing.T) {
					pump(t, top, Config{
						At: top.at(Entry(entry)), Entry: Entry(entry), Protocol: TCP, Flows: flows(t, 2, inner), Tunnel: tunnel(t, outer),
						Payload: mss - 20, Sequence: 1 << 20, Replies: &Device{top.wire, "uA"},
					}, 50*time.Millisecond)
				})
			}
		}
	}
}

func TestTCPSequenceNumbersWrap(t *testing.T) {
	top := newTopology(t, outer4)
	pump(t, top, Config{
		At: top.at(NAPI), Entry: NAPI, Protocol: TCP, Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: mss, Sequence: 1<<32 - 5000,
	}, 50*time.Millisecond)
}

// GRO puts segments together, so the container's stack sees fewer packets than there were segments.
func TestTCPMeetsGRO(t *testing.T) {
	top := newTopology(t, outer4)
	sent, _ := pump(t, top, Config{
		At: top.at(NAPI), Entry: NAPI, Protocol: TCP, Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: mss,
	}, 100*time.Millisecond)
	var packets uint64
	if _, err := fmt.Sscan(top.in(t, top.container, "cat /proc/net/dev | awk '/eth0/ { print $3 }'"), &packets); err != nil {
		t.Fatal(err)
	}
	if packets == 0 || packets > sent.Packets()/2 {
		t.Errorf("%d segments came as %d packets", sent.Packets(), packets)
	}
}

func TestTCPGoesOnAfterLoss(t *testing.T) {
	top := newTopology(t, outer4)
	top.in(t, top.container, `nft 'add table inet t; add chain inet t in { type filter hook input priority 0; };
		add rule inet t in tcp dport 5001 numgen inc mod 50 == 0 counter drop'`)
	sent, _ := pump(t, top, Config{
		At: top.at(NAPI), Entry: NAPI, Protocol: TCP, Flows: flows(t, 2, inner4), Tunnel: tunnel(t, outer4), Payload: mss,
	}, 300*time.Millisecond)
	for i, f := range sent.Flows {
		if f.Retransmits == 0 || f.Stream < 100*mss {
			t.Errorf("flow %d: %+v", i, f)
		}
	}
}

func TestTCPGoesOnInTheNextRun(t *testing.T) {
	top := newTopology(t, outer4)
	c := Config{At: top.at(NAPI), Entry: NAPI, Protocol: TCP, Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 64}
	g := newGenerator(t, c)
	s := newSink(t, SinkConfig{Namespace: top.container, Streams: streams(c.Flows), MSS: 64, Interval: 10 * time.Millisecond})
	var packets uint64
	for range 2 {
		sent, err := g.Run(t.Context(), 5000, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		packets += sent.Packets()
	}
	if err := s.Drain(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	got, err := s.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if got.Bytes() != packets*64 {
		t.Errorf("sent %d segments, got %d bytes", packets, got.Bytes())
	}
	var series uint64
	for _, i := range got.Series {
		series += i.Bytes
	}
	if series != got.Bytes() {
		t.Errorf("the series has %d bytes of %d", series, got.Bytes())
	}
}
