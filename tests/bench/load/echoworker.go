package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// echoWorker is what runs in an EchoServer's process.
type echoWorker struct {
	listener *pingSocket // TCP: takes connections
	socket   *pingSocket // nil: nobody is connected
}

func newEchoWorker(raw json.RawMessage) (worker, error) {
	var c PingConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	s, err := newPingSocket(c)
	if err != nil {
		return nil, err
	}
	if s.stream {
		if err := unix.Listen(s.fd, 1); err != nil {
			return nil, errors.Join(fmt.Errorf("listen at %v: %w", c.Local, err), s.close())
		}
		return &echoWorker{listener: s}, nil
	}
	if err := unix.Connect(s.fd, sockaddr(c.Remote)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %v: %w", c.Remote, err), s.close())
	}
	return &echoWorker{socket: s}, nil
}

// work answers a request.
func (w *echoWorker) work() error {
	if w.socket == nil {
		return w.accept()
	}
	err := w.socket.receive()
	switch {
	case errors.Is(err, errNothing):
		return nil
	case err == nil:
		err = w.socket.send()
	}
	if w.socket.stream && (errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)) {
		return w.hangUp()
	}
	return err
}

func (w *echoWorker) accept() error {
	fd, _, err := unix.Accept4(w.listener.fd, unix.SOCK_CLOEXEC)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	w.socket = &pingSocket{fd: fd, stream: true, buffer: make([]byte, len(w.listener.buffer))}
	return errors.Join(w.socket.setTimeout(), w.socket.ready())
}

// hangUp makes room for the next connection.
func (w *echoWorker) hangUp() error {
	err := w.socket.close()
	w.socket = nil
	return err
}

// There is nothing to count: the pinger does.
func (w *echoWorker) reset() error { return nil }

func (w *echoWorker) counts() (any, error) { return nil, nil }

func (w *echoWorker) close() error {
	var all []error
	for _, s := range []*pingSocket{w.listener, w.socket} {
		if s != nil {
			all = append(all, s.close())
		}
	}
	return errors.Join(all...)
}
