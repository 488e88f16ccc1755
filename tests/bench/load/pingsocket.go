package load

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pingSocket is an end of a conversation in messages of one length.
type pingSocket struct {
	fd     int
	stream bool
	buffer []byte // a message
	have   int    // bytes of it that have come
}

// errNothing tells that nothing came in recvTimeout.
var errNothing = errors.New("nothing came")

// newPingSocket makes a socket that is bound; a stream is connected by the caller.
func newPingSocket(c PingConfig) (*pingSocket, error) {
	kind := unix.SOCK_DGRAM
	if c.Protocol == TCP {
		kind = unix.SOCK_STREAM
	}
	fd, err := newSocket(c.Local.Addr(), kind)
	if err != nil {
		return nil, err
	}
	s := &pingSocket{fd: fd, stream: c.Protocol == TCP, buffer: make([]byte, c.Size)}
	if err := s.bind(c); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *pingSocket) bind(c PingConfig) error {
	// Connections of whoever held the port before us may not have ended yet.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("set up socket: %w", err)
	}
	if err := unix.Bind(s.fd, sockaddr(c.Local)); err != nil {
		return fmt.Errorf("bind to %v: %w", c.Local, err)
	}
	return s.setTimeout()
}

func (s *pingSocket) setTimeout() error {
	timeout := unix.NsecToTimeval(int64(recvTimeout))
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("set timeout of socket: %w", err)
	}
	return nil
}

// ready prepares a stream that is connected. It ends with a reset: else the next one could not have its ports for a minute.
func (s *pingSocket) ready() error {
	if err := errors.Join(
		unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
	); err != nil {
		return fmt.Errorf("set up socket: %w", err)
	}
	return nil
}

// receive waits for the rest of a message. The error is errNothing when there is none yet, io.EOF at a stream's end.
func (s *pingSocket) receive() error {
	for {
		n, err := rawCall(unix.SYS_READ, s.fd, s.buffer[s.have:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return errNothing
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNREFUSED):
			continue // an answer to an earlier message: the other end was not there yet
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		case n == 0:
			return io.EOF
		}
		s.have += n
		if s.have == len(s.buffer) {
			s.have = 0
			return nil
		}
		if !s.stream {
			return fmt.Errorf("receive: %d bytes, want %d", n, len(s.buffer))
		}
	}
}

// send writes a message. A datagram that cannot be sent now is as good as lost.
func (s *pingSocket) send() error {
	for sent := 0; sent < len(s.buffer); {
		n, err := rawCall(unix.SYS_WRITE, s.fd, s.buffer[sent:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case !s.stream && (errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOBUFS)):
			return nil
		case err != nil:
			return fmt.Errorf("send: %w", err)
		}
		sent += n
	}
	return nil
}

func (s *pingSocket) close() error { return unix.Close(s.fd) }

// rawCall reads or writes without telling Go's scheduler: it would poll each 20 us, on our core, to see how long the call
// takes, and so disturb what is measured.
func rawCall(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
