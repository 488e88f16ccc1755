package experiment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"falcon/tests/bench/subject"
	"falcon/tests/lab"
)

// server is a program that serves at a place for as long as a subject's turn lasts.
type server struct {
	name    string
	addr    netip.AddrPort
	process *lab.Process
}

// serverPatience is how long a server may take until it can be reached.
const serverPatience = 10 * time.Second

// startServer starts a server on the application's core, and waits until a client can connect to it. The caller ends it
// with stop.
func (c *Cell) startServer(ctx context.Context, at, client subject.Place, port uint16, argv ...string) (*server, error) {
	p, err := at.Start(ctx, turnLimit, c.Bed.Cores.App, argv...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	s := &server{argv[0], netip.AddrPortFrom(at.Addr, port), p}
	if err := s.await(ctx, client); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", argv[0], err), s.stop())
	}
	return s, nil
}

// await connects until it succeeds. A server that ended will never be reached.
func (s *server) await(ctx context.Context, client subject.Place) error {
	ctx, cancel := context.WithTimeout(ctx, serverPatience)
	defer cancel()
	var ended error
	err := lab.Poll(ctx, func(ctx context.Context) error {
		if ended = s.ended(); ended != nil {
			return nil
		}
		return client.Host.InNet(client.Sandbox, func() error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", s.addr.String())
			if err != nil {
				return err
			}
			return conn.Close()
		})
	})
	return errors.Join(ended, err)
}

// ended is an error if the server runs no more.
func (s *server) ended() error {
	select {
	case <-s.process.Done():
		out, err := s.process.Wait()
		return errors.Join(fmt.Errorf("%s ended: %s", s.name, strings.TrimSpace(out)), err)
	default:
		return nil
	}
}

// stop ends the server. It is an error if it had ended before.
func (s *server) stop() error {
	if err := s.ended(); err != nil {
		return err
	}
	_, err := s.process.Stop()
	return err
}
