package load

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// tcpWorker is what runs in a TCPSink's process.
type tcpWorker struct {
	config  SinkConfig
	poll    int
	sockets []int
	events  []unix.EpollEvent
	buffer  []byte
	streams []StreamCounts
	series  series
	broken  error // of a stream; what follows would mean nothing
}

func newTCPWorker(raw json.RawMessage) (worker, error) {
	w := &tcpWorker{poll: -1}
	if err := json.Unmarshal(raw, &w.config); err != nil {
		return nil, err
	}
	w.buffer = make([]byte, w.config.Read)
	w.events = make([]unix.EpollEvent, len(w.config.Streams))
	if err := w.open(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, w.reset()
}

func (w *tcpWorker) open() (err error) {
	if w.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("make epoll: %w", err)
	}
	for i, s := range w.config.Streams {
		socket, err := establish(s, w.config.Sequence, w.config.MSS, w.config.Buffer)
		if err != nil {
			return fmt.Errorf("establish %v from %v: %w", s.Local, s.Remote, err)
		}
		w.sockets = append(w.sockets, socket)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(w.poll, unix.EPOLL_CTL_ADD, socket, &event); err != nil {
			return fmt.Errorf("watch socket: %w", err)
		}
	}
	return nil
}

// work reads once from each socket that has something.
func (w *tcpWorker) work() error {
	n, err := unix.EpollWait(w.poll, w.events, int(recvTimeout.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for sockets: %w", err)
	}
	for _, event := range w.events[:n] {
		if err := w.read(int(event.Fd)); err != nil {
			return err
		}
	}
	return nil
}

func (w *tcpWorker) read(stream int) error {
	n, err := unix.Read(w.sockets[stream], w.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		w.broken = fmt.Errorf("stream %d broke: %w", stream, err)
	case n == 0:
		w.broken = fmt.Errorf("stream %d ended", stream)
	default:
		return w.count(stream, n)
	}
	return unix.EpollCtl(w.poll, unix.EPOLL_CTL_DEL, w.sockets[stream], nil)
}

func (w *tcpWorker) count(stream, bytes int) error {
	w.streams[stream].Bytes += uint64(bytes)
	w.streams[stream].Reads++
	if w.series.length == 0 {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	if interval := w.series.at(now); interval != nil {
		interval.Packets++
		interval.Bytes += uint64(bytes)
	}
	return nil
}

func (w *tcpWorker) reset() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	w.streams = make([]StreamCounts, len(w.sockets))
	w.series = series{start: now, length: uint64(w.config.Interval)}
	return nil
}

func (w *tcpWorker) counts() (any, error) {
	return SinkCounts{Streams: w.streams, Series: w.series.all}, w.broken
}

func (w *tcpWorker) close() error {
	var all []error
	for _, socket := range w.sockets {
		all = append(all, abandon(socket))
	}
	if w.poll >= 0 {
		all = append(all, unix.Close(w.poll))
	}
	return errors.Join(all...)
}
