package recovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/datapath"
	"falcon/driver"
	"falcon/tests/lab"
)

// Hosts are upgraded one after the other, and downgraded, to a version that has the same maps and to one that has others. Meanwhile a
// ping, a TCP stream and numbered datagrams go between their containers, both ways: nothing is lost and nothing reordered.
func TestUpgradeUnderTraffic(t *testing.T) {
	s := newSiege(t)
	for _, c := range []struct {
		mode  datapath.Mode
		short string
	}{{datapath.Off, driver.ShortcutOff}, {datapath.Off, driver.ShortcutOn}, {datapath.Static, driver.ShortcutOff}} {
		t.Run(fmt.Sprintf("steering %s, shortcut %s", c.mode, c.short), func(t *testing.T) {
			s := s
			s.t, s.mode, s.short = t, c.mode, c.short
			s.configure()
			there, back := s.ping(s.a, s.toB), s.ping(s.b, s.toA)
			streams := []*stream{s.stream(s.hostA, s.a, s.hostB, s.b, s.toB), s.stream(s.hostB, s.b, s.hostA, s.a, s.toA)}
			for _, version := range []string{nextVersion, ourVersion, foreignMaps, ourVersion} {
				for _, h := range s.Hosts {
					s.become(h, version)
					s.observe(there, 200*time.Millisecond)
				}
			}
			s.lossless(there)
			s.lossless(back)
			for _, f := range streams {
				s.whole(f)
			}
		})
	}
}

// spurious is the share of segments, of an Ethernet packet's size, that TCP may send again. Datagrams and pings tell what is lost. TCP sends again what was
// late, too: on a busy machine a probe after some milliseconds without an acknowledgement, and, since it also sends from the core where an
// acknowledgement comes in (see stay), what two cores have brought in another order.
const (
	spurious    = 0.001
	segmentSize = 1400
)

const (
	streamPort = 5002
	// datagramPace is the time between two datagrams of a stream.
	datagramPace = time.Millisecond
	// chunk is how much of the TCP stream is written at a time, bytes; streamPace the time between two.
	chunk      = 64 << 10
	streamPace = 5 * time.Millisecond
)

// stream is what one container sends to another: numbered datagrams, and a TCP stream of numbers.
type stream struct {
	from, to string
	stop     context.CancelFunc
	udp, tcp net.Conn
	heard    net.PacketConn
	accepted net.Conn
	ended    chan error // of each of its four goroutines

	sent, received, reordered, bytes atomic.Uint64
}

// inSandbox does something in a container's network namespace.
func (o overlay) inSandbox(h *lab.Host, c lab.Container, do func() error) {
	o.t.Helper()
	sandbox := o.must(c.Inspect(o.ctx, "{{.NetworkSettings.SandboxKey}}"))
	o.check(h.InNet(strings.TrimPrefix(sandbox, "/var"), do))
}

// stream starts one, which the test's end stops at the latest.
func (o overlay) stream(hostA *lab.Host, a lab.Container, hostB *lab.Host, b lab.Container, address string) *stream {
	o.t.Helper()
	ctx, stop := context.WithCancel(o.ctx)
	f := &stream{from: a.Name, to: b.Name, stop: stop, ended: make(chan error, 4)}
	o.t.Cleanup(stop)
	target := net.JoinHostPort(address, fmt.Sprint(streamPort))
	var listener net.Listener
	o.inSandbox(hostB, b, func() (err error) {
		var config net.ListenConfig
		if f.heard, err = config.ListenPacket(ctx, "udp4", target); err != nil {
			return err
		}
		listener, err = config.Listen(ctx, "tcp4", target)
		return err
	})
	defer listener.Close()
	o.inSandbox(hostA, a, func() (err error) {
		var dialer net.Dialer
		if f.udp, err = dialer.DialContext(ctx, "udp4", target); err != nil {
			return err
		}
		f.tcp, err = dialer.DialContext(ctx, "tcp4", target)
		return err
	})
	var err error
	f.accepted, err = listener.Accept()
	o.check(err)
	context.AfterFunc(o.ctx, func() { _ = f.close() })
	for _, task := range []func(context.Context) error{f.sendDatagrams, f.receiveDatagrams, f.sendStream, f.receiveStream} {
		go func() { f.ended <- task(ctx) }()
	}
	return f
}

func (f *stream) close() error {
	return errors.Join(f.udp.Close(), f.heard.Close(), f.tcp.Close(), f.accepted.Close())
}

// stay keeps this goroutine on one core. A veth receives on the core that sends, where a NIC has a queue, and with it a core, for each flow: were
// the sender moved, packets would come in on two cores at once, and nobody could tell their order.
func stay() error {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	var core unix.CPUSet
	core.Set(nicCore)
	return unix.SchedSetaffinity(0, &core)
}

func (f *stream) sendDatagrams(ctx context.Context) error {
	if err := stay(); err != nil {
		return err
	}
	pace := time.NewTicker(datagramPace)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		if _, err := f.udp.Write(binary.BigEndian.AppendUint64(nil, f.sent.Add(1))); err != nil {
			return err
		}
	}
	return nil
}

// receiveDatagrams goes on until none has come for a second after the last was sent.
func (f *stream) receiveDatagrams(ctx context.Context) error {
	buffer, last := make([]byte, 64), uint64(0)
	for {
		if err := f.heard.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		_, _, err := f.heard.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if ctx.Err() != nil {
				return nil
			}
			continue
		}
		if err != nil {
			return err
		}
		number := binary.BigEndian.Uint64(buffer)
		if number <= last {
			f.reordered.Add(1)
		}
		last = max(last, number)
		f.received.Add(1)
	}
}

func (f *stream) sendStream(ctx context.Context) error {
	if err := stay(); err != nil {
		return err
	}
	pace := time.NewTicker(streamPace)
	defer pace.Stop()
	var next uint64
	for ctx.Err() == nil {
		<-pace.C
		var b []byte
		for ; len(b) < chunk; next++ {
			b = binary.BigEndian.AppendUint64(b, next)
		}
		if _, err := f.tcp.Write(b); err != nil {
			return err
		}
	}
	return f.tcp.(*net.TCPConn).CloseWrite()
}

func (f *stream) receiveStream(context.Context) error {
	b := make([]byte, chunk)
	for next := uint64(0); ; {
		_, err := io.ReadFull(f.accepted, b)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for at := 0; at < chunk; at, next = at+8, next+1 {
			if got := binary.BigEndian.Uint64(b[at:]); got != next {
				return fmt.Errorf("number %d of the stream is %d", next, got)
			}
		}
		f.bytes.Add(chunk)
	}
}

// retransmissions are how many segments TCP sent again: each was lost, or taken for lost because others overtook it.
func (f *stream) retransmissions() (n uint32, failure error) {
	raw, err := f.tcp.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, failure = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); failure == nil {
			n = info.Total_retrans
		}
	})
	return n, errors.Join(err, failure)
}

// whole ends a stream of which all must have arrived, in order.
func (o overlay) whole(f *stream) {
	o.t.Helper()
	f.stop()
	for range cap(f.ended) {
		if err := <-f.ended; err != nil {
			o.t.Errorf("%s to %s: %v", f.from, f.to, err)
		}
	}
	again, err := f.retransmissions()
	o.check(err)
	sent, received, reordered := f.sent.Load(), f.received.Load(), f.reordered.Load()
	o.t.Logf("%s to %s: %d of %d datagrams, %d reordered; TCP %d MB, %d retransmissions", f.from, f.to, received, sent, reordered, f.bytes.Load()>>20, again)
	if received != sent || reordered > 0 || float64(again) > spurious*float64(f.bytes.Load())/segmentSize || f.bytes.Load() == 0 {
		o.t.Errorf("%s to %s: lost or reordered", f.from, f.to)
	}
	o.check(f.close())
}
