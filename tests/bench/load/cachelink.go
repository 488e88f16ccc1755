package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cacheLink is a client's connection to a memcached. It speaks the text protocol (memcached, doc/protocol.txt), and knows
// what each answer must be, to the byte.
type cacheLink struct {
	config CacheConfig
	socket int
	random *rand.Rand // the same requests in each run
	stored []byte     // what follows the key in a set: flags, no expiry, length, value
	found  []byte     // what follows it in the answer to a get

	requests int
	request  []byte
	want     []byte // answer
	got      []byte // what came of it so far
	buffer   []byte
	asked    time.Time
}

// cachePatience is how long a link waits for the rest of an answer, and for all while it fills the cache.
const cachePatience = 5 * time.Second

func newCacheLink(c CacheConfig, number int) (*cacheLink, error) {
	socket, err := newSocket(c.Server.Addr(), unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	value := bytes.Repeat([]byte("v"), c.Value)
	l := &cacheLink{
		config: c,
		socket: socket,
		random: rand.New(rand.NewPCG(uint64(number), 0)),
		stored: fmt.Appendf(nil, " 0 0 %d\r\n%s\r\n", c.Value, value),
		found:  fmt.Appendf(nil, " 0 %d\r\n%s\r\nEND\r\n", c.Value, value),
		buffer: make([]byte, c.Value+256),
	}
	if err := l.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %v: %w", c.Server, err), unix.Close(socket))
	}
	return l, nil
}

func (l *cacheLink) connect() error {
	// An error of the connection, or silence, ends a read or a connect.
	patience := unix.NsecToTimeval(int64(cachePatience))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(l.socket, unix.SOL_SOCKET, option, &patience); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(l.socket, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	return unix.Connect(l.socket, sockaddr(l.config.Server))
}

// fill sets each key.
func (l *cacheLink) fill() error {
	for key := range l.config.Keys {
		l.writeSet(key)
		if err := l.send(); err != nil {
			return err
		}
		for done := false; !done; {
			var err error
			if done, err = l.take(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask sends the next request.
func (l *cacheLink) ask() error {
	key := l.random.IntN(l.config.Keys)
	l.requests++
	if l.requests%l.config.Sets == 0 {
		l.writeSet(key)
	} else {
		l.writeGet(key)
	}
	return l.send()
}

// writeSet makes no garbage, nor does writeGet: nobody would collect it.
func (l *cacheLink) writeSet(key int) {
	l.request = append(strconv.AppendInt(append(l.request[:0], "set key"...), int64(key), 10), l.stored...)
	l.want = append(l.want[:0], "STORED\r\n"...)
}

func (l *cacheLink) writeGet(key int) {
	l.request = append(strconv.AppendInt(append(l.request[:0], "get key"...), int64(key), 10), "\r\n"...)
	l.want = append(strconv.AppendInt(append(l.want[:0], "VALUE key"...), int64(key), 10), l.found...)
}

func (l *cacheLink) send() error {
	l.got, l.asked = l.got[:0], time.Now()
	n, err := unix.Write(l.socket, l.request)
	if err != nil {
		return fmt.Errorf("ask cache: %w", err)
	}
	if n < len(l.request) {
		return fmt.Errorf("ask cache: %w", io.ErrShortWrite)
	}
	return nil
}

// take reads what there is of an answer, and waits for it if there is none; done tells that it is complete.
func (l *cacheLink) take() (done bool, err error) {
	n, err := unix.Read(l.socket, l.buffer)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read answer of cache: %w", err)
	}
	if n == 0 {
		return false, fmt.Errorf("read answer of cache: %w", io.ErrUnexpectedEOF)
	}
	l.got = append(l.got, l.buffer[:n]...)
	if !bytes.HasPrefix(l.want, l.got) {
		return false, fmt.Errorf("answer of cache: %.60q, want %.60q", l.got, l.want)
	}
	return len(l.got) == len(l.want), nil
}
