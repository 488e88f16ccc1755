package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cacheWorker is what runs in a CacheClient's process.
type cacheWorker struct {
	poll    int
	links   []*cacheLink
	events  []unix.EpollEvent
	latency Histogram
	start   time.Time
}

func newCacheWorker(raw json.RawMessage) (worker, error) {
	var c CacheConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	w := &cacheWorker{poll: -1, events: make([]unix.EpollEvent, c.Clients)}
	if err := w.open(c); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, w.reset()
}

// open connects, sets all keys, and lets each client ask.
func (w *cacheWorker) open(c CacheConfig) (err error) {
	for i := range c.Clients {
		link, err := newCacheLink(c, i)
		if err != nil {
			return err
		}
		w.links = append(w.links, link)
	}
	if err := w.links[0].fill(); err != nil {
		return fmt.Errorf("fill cache: %w", err)
	}
	if w.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("make epoll: %w", err)
	}
	for i, link := range w.links {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(w.poll, unix.EPOLL_CTL_ADD, link.socket, &event); err != nil {
			return fmt.Errorf("wait for socket: %w", err)
		}
		if err := link.ask(); err != nil {
			return err
		}
	}
	return nil
}

func (w *cacheWorker) work() error {
	n, err := unix.EpollWait(w.poll, w.events, int(recvTimeout.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for answers: %w", err)
	}
	for _, event := range w.events[:n] {
		link := w.links[event.Fd]
		done, err := link.take()
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		w.latency.Add(time.Since(link.asked))
		if err := link.ask(); err != nil {
			return err
		}
	}
	return nil
}

// cacheSilence is how long a client may be without an answer. Less than a lost packet can take would be too little: TCP sends
// it again after 200 ms, 400 ms and so on.
const cacheSilence = time.Second

// reset leaves the requests under way alone: they count when they are answered, as those at the end do not.
func (w *cacheWorker) reset() error {
	w.latency, w.start = Histogram{}, time.Now()
	return nil
}

func (w *cacheWorker) counts() (any, error) {
	for i, link := range w.links {
		if silent := time.Since(link.asked); silent > cacheSilence {
			return nil, fmt.Errorf("client %d has had no answer for %v", i, silent)
		}
	}
	return CacheCounts{Elapsed: time.Since(w.start), Latency: &w.latency}, nil
}

func (w *cacheWorker) close() (err error) {
	for _, link := range w.links {
		err = errors.Join(err, unix.Close(link.socket))
	}
	if w.poll >= 0 {
		err = errors.Join(err, unix.Close(w.poll))
	}
	return err
}
