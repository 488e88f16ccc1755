package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// fakeCache answers like memcached, after a pause, or with one answer to all.
type fakeCache struct {
	pause  time.Duration
	answer string
}

func (f fakeCache) start(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// serve believes that each connection knows all keys, since values are all alike.
func (f fakeCache) serve(conn net.Conn) {
	defer conn.Close()
	in, value := bufio.NewReader(conn), make([]byte, 10)
	for {
		var command, key string
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Sscan(line, &command, &key)
		answer := fmt.Sprintf("VALUE %s 0 10\r\nvvvvvvvvvv\r\nEND\r\n", key)
		if command == "set" {
			if _, err := io.ReadFull(in, append(value, "\r\n"...)); err != nil {
				return
			}
			answer = "STORED\r\n"
		} else {
			time.Sleep(f.pause)
		}
		// In two pieces, as a network may deliver it.
		pieces := []string{answer[:3], answer[3:]}
		if f.answer != "" {
			pieces = []string{f.answer}
		}
		for _, piece := range pieces {
			if _, err := io.WriteString(conn, piece); err != nil {
				return
			}
		}
	}
}

func TestCacheClientMeasures(t *testing.T) {
	const pause = 5 * time.Millisecond
	server := fakeCache{pause: pause}.start(t)
	c, err := StartCacheClient(CacheConfig{Server: server, Clients: 4, Keys: 10, Value: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	counts, err := c.Measure(t.Context(), 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// One in five is a set, which takes no pause, so a fifth is fast and the median is not.
	if fast, slow := counts.Latency.Quantile(0.1), counts.Latency.Quantile(0.5); fast > pause || slow < pause {
		t.Errorf("p10 %v, p50 %v with a pause of %v for four of five", fast, slow, pause)
	}
	if most := 4 / (0.8 * pause.Seconds()); counts.Rate() > 1.2*most || counts.Rate() < most/4 {
		t.Errorf("%.0f operations/s, want up to %.0f", counts.Rate(), most)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestCacheClientRefusesWrongAnswers(t *testing.T) {
	for name, answer := range map[string]string{"miss": "END\r\n", "error": "SERVER_ERROR out of memory\r\n"} {
		t.Run(name, func(t *testing.T) {
			server := fakeCache{answer: answer}.start(t)
			c, err := StartCacheClient(CacheConfig{Server: server, Value: 10})
			if err == nil {
				c.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), strings.TrimSpace(answer)) {
				t.Errorf("error does not tell the answer: %v", err)
			}
		})
	}
}

func TestCacheClientEndsWithItsContext(t *testing.T) {
	c, err := StartCacheClient(CacheConfig{Server: fakeCache{}.start(t), Value: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Measure(ctx, time.Minute); err == nil {
		t.Error("measured")
	}
}

func TestCacheClientWantsAServer(t *testing.T) {
	if c, err := StartCacheClient(CacheConfig{}); err == nil {
		c.Close()
		t.Error("started")
	}
}
