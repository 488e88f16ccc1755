package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"falcon/tests/lab"
)

const (
	servicePort = 7000
	// answerLimit is for one packet to be answered, on a loaded machine.
	answerLimit = 3 * time.Second
	// silence is how long to wait for what must not come, where what may come takes a millisecond.
	silence = 300 * time.Millisecond
)

// service answers on a TCP and a UDP port, in both families, and says its name: a datagram comes back as
// "NAME TEXT", a stream as the name in a line, and then whatever is sent.
type service struct {
	name string
	udp  *net.UDPConn
	tcp  net.Listener

	mu    sync.Mutex // guards heard
	heard []string   // all datagrams
}

// serve starts a service in a container, until the end of the test.
func (b box) serve(t testing.TB) *service {
	return serve(t, b.host, b.sandbox, b.Name, netip.AddrPortFrom(netip.IPv6Unspecified(), servicePort))
}

// serve starts a service in a network of a host. The zero IPv6 address stands for all, of both families.
func serve(t testing.TB, h *lab.Host, sandbox, name string, on netip.AddrPort) *service {
	t.Helper()
	s := &service{name: name}
	err := h.InNet(sandbox, func() (err error) {
		if s.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(on)); err != nil {
			return err
		}
		s.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(on))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(s.answerDatagrams)
	tasks.Go(s.answerStreams)
	t.Cleanup(func() {
		s.udp.Close()
		s.tcp.Close()
		tasks.Wait()
	})
	return s
}

func (s *service) answerDatagrams() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return // closed
		}
		text := string(buffer[:n])
		s.mu.Lock()
		s.heard = append(s.heard, text)
		s.mu.Unlock()
		_, _ = s.udp.WriteToUDPAddrPort([]byte(s.name+" "+text), from) // who asked misses it
	}
}

func (s *service) answerStreams() {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if _, err := io.WriteString(conn, s.name+"\n"); err == nil {
				_, _ = io.Copy(conn, conn) // who asked misses it
			}
		}()
	}
}

// hears tells whether a datagram has come.
func (s *service) hears(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.heard, text)
}

// dial opens a socket in the container.
func (b box) dial(network string, to netip.AddrPort) (net.Conn, error) {
	return dial(b.host, b.sandbox, network, to)
}

func dial(h *lab.Host, sandbox, network string, to netip.AddrPort) (net.Conn, error) {
	var conn net.Conn
	err := h.InNet(sandbox, func() (err error) {
		conn, err = (&net.Dialer{Timeout: answerLimit}).Dial(network, to.String())
		return err
	})
	return conn, err
}

// askUDP sends one datagram to a service and returns the name in the answer. Nothing is sent twice.
func askUDP(h *lab.Host, sandbox string, to netip.AddrPort, text string) (string, error) {
	return askUDPFor(h, sandbox, to, text, answerLimit)
}

// askUDPFor is askUDP with another patience.
func askUDPFor(h *lab.Host, sandbox string, to netip.AddrPort, text string, limit time.Duration) (string, error) {
	conn, err := dial(h, sandbox, "udp", to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	_ = conn.SetDeadline(time.Now().Add(limit))
	buffer := make([]byte, 1<<16)
	n, err := conn.Read(buffer)
	if err != nil {
		return "", err
	}
	name, ok := strings.CutSuffix(string(buffer[:n]), " "+text)
	if !ok {
		return "", fmt.Errorf("datagram came back as %q", buffer[:n])
	}
	return name, nil
}

// askTCP sends a stream through a service, compares what comes back, and returns the service's name.
func askTCP(h *lab.Host, sandbox string, to netip.AddrPort, size int) (string, error) {
	conn, err := dial(h, sandbox, "tcp", to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * answerLimit))
	sent := pattern(size)
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		wrote <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-wrote); err != nil {
		return "", err
	}
	name, content, _ := bytes.Cut(got, []byte("\n"))
	if !bytes.Equal(content, sent) {
		return "", fmt.Errorf("stream of %d bytes came back as %d others", len(sent), len(content))
	}
	return string(name), nil
}

// pattern is content in which a piece that is missing or misplaced shows.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// reaches checks that datagrams and streams from the container get to a service, and the answers back.
func (b box) reaches(t testing.TB, to netip.Addr, name string) {
	t.Helper()
	service := netip.AddrPortFrom(to, servicePort)
	if got, err := askUDP(b.host, b.sandbox, service, "from "+b.Name); err != nil || got != name {
		t.Errorf("UDP from %v to %v: answer of %q, %v; want %q", b, service, got, err, name)
	}
	if got, err := askTCP(b.host, b.sandbox, service, 1<<20); err != nil || got != name {
		t.Errorf("TCP from %v to %v: answer of %q, %v; want %q", b, service, got, err, name)
	}
}

// pings checks that a single echo request is answered.
func (b box) pings(t testing.TB, to netip.Addr) {
	t.Helper()
	if out, err := b.exec(t.Context(), "ping", "-n", "-c1", "-W3", to.String()); err != nil {
		t.Errorf("ping from %v to %v: %v\n%s", b, to, err, out)
	}
}

// doesNotReach checks that nothing answers at an address, as a service elsewhere does.
func (b box) doesNotReach(t testing.TB, to netip.Addr) {
	t.Helper()
	if out, err := b.exec(t.Context(), "ping", "-n", "-c1", "-W0.5", to.String()); err == nil {
		t.Errorf("%v reaches %v:\n%s", b, to, out)
	}
	service := netip.AddrPortFrom(to, servicePort)
	if name, err := askUDPFor(b.host, b.sandbox, service, "stranger", silence); err == nil {
		t.Errorf("%v reaches %v, which is %s", b, service, name)
	}
}
