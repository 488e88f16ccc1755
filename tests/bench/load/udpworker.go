package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// udpWorker is what runs in a UDPReader's process.
type udpWorker struct {
	config   ReaderConfig
	socket   int
	messages []mmsghdr
	vectors  []unix.Iovec
	buffers  []byte
	stride   int
	counters []counter
	latency  Histogram
	series   series
	foreign  uint64
	dropped  uint64 // before the last reset
}

// mmsghdr is the kernel's struct mmsghdr, which package unix lacks.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

const (
	waitForOne = 0x10000 // MSG_WAITFORONE of linux/socket.h
	// recvTimeout is how long a worker sleeps at most before it looks for questions.
	recvTimeout = 5 * time.Millisecond
	cacheLine   = 64
)

func newUDPWorker(raw json.RawMessage) (worker, error) {
	w := &udpWorker{socket: -1}
	if err := json.Unmarshal(raw, &w.config); err != nil {
		return nil, err
	}
	c := w.config
	// An odd number of cache lines apart, so that the beginnings do not all share one set of the cache.
	w.stride = (c.Payload/cacheLine+1)*cacheLine | cacheLine
	w.buffers = make([]byte, c.Batch*w.stride)
	w.vectors, w.messages = make([]unix.Iovec, c.Batch), make([]mmsghdr, c.Batch)
	for i := range w.messages {
		w.vectors[i].Base = &w.buffers[i*w.stride]
		w.vectors[i].SetLen(w.stride)
		w.messages[i].header.Iov = &w.vectors[i]
		w.messages[i].header.SetIovlen(1)
	}
	if err := w.open(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, w.reset()
}

func (w *udpWorker) open() (err error) {
	if w.socket, err = newSocket(w.config.Listen.Addr(), unix.SOCK_DGRAM); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(w.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, w.config.Buffer/2); err != nil {
		return fmt.Errorf("set size of receive buffer: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(recvTimeout))
	if err := unix.SetsockoptTimeval(w.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("set timeout of socket: %w", err)
	}
	if err := unix.Bind(w.socket, sockaddr(w.config.Listen)); err != nil {
		return fmt.Errorf("bind to %v: %w", w.config.Listen, err)
	}
	return nil
}

func newSocket(addr netip.Addr, kind int) (int, error) {
	family := unix.AF_INET
	if !addr.Is4() {
		family = unix.AF_INET6
	}
	s, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make socket: %w", err)
	}
	return s, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func (w *udpWorker) work() error {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(w.socket), uintptr(unsafe.Pointer(&w.messages[0])),
		uintptr(len(w.messages)), waitForOne, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR:
		return nil
	default:
		return fmt.Errorf("receive: %w", errno)
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	interval := w.series.at(now)
	for i := range int(n) {
		w.take(w.buffers[i*w.stride:], int(w.messages[i].length), now, interval)
	}
	return nil
}

// take counts a packet.
func (w *udpWorker) take(payload []byte, length int, now uint64, interval *Interval) {
	if length < stampSize {
		w.foreign++
		return
	}
	number, sent := readStamp(payload)
	if number.flow() >= len(w.counters) {
		w.foreign++
		return
	}
	what, lost := w.counters[number.flow()].add(number.number(), length)
	if what == duplicate {
		return
	}
	latency := uint64(0)
	if now > sent {
		latency = now - sent
	}
	w.latency.add(latency)
	if interval == nil {
		return
	}
	interval.Packets++
	interval.Bytes += uint64(length)
	interval.Lost += lost
	if what == late {
		interval.Reordered++
	}
	w.series.note(latency)
}

func (w *udpWorker) reset() error {
	dropped, err := w.drops()
	if err != nil {
		return err
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	w.dropped, w.foreign = dropped, 0
	w.counters = make([]counter, w.config.Flows)
	w.latency = Histogram{}
	w.series = series{start: now, length: uint64(w.config.Interval)}
	return nil
}

func (w *udpWorker) counts() (any, error) {
	dropped, err := w.drops()
	if err != nil {
		return nil, err
	}
	c := Counts{Foreign: w.foreign, Dropped: dropped - w.dropped, Latency: &w.latency, Series: w.series.all}
	for i := range w.counters {
		c.Flows = append(c.Flows, w.counters[i].FlowCounts)
	}
	return c, nil
}

// drops asks for what the socket dropped since it was made (SO_MEMINFO, kernel 4.12).
func (w *udpWorker) drops() (uint64, error) {
	const (
		drops = 8 // SK_MEMINFO_DROPS of linux/sock_diag.h
		vars  = 9 // SK_MEMINFO_VARS
	)
	var info [vars]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(w.socket), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("read drops of socket: %w", errno)
	}
	return uint64(info[drops]), nil
}

func (w *udpWorker) close() error {
	if w.socket < 0 {
		return nil
	}
	return unix.Close(w.socket)
}
