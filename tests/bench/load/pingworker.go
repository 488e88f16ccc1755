package load

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// pingPatience is how long a pinger waits for an answer. It is far more than any queue on the way holds; a stream that
// has lost a segment waits for 200 ms (TCP_RTO_MIN) and then for twice as long.
const (
	pingPatience    = 200 * time.Millisecond
	pingPatienceTCP = 5 * time.Second
)

// pingWorker is what runs in a Pinger's process.
type pingWorker struct {
	socket  *pingSocket
	number  uint64 // of the request under way
	waiting bool   // for its answer
	began   uint64
	latency Histogram
	lost    uint64
}

func newPingWorker(raw json.RawMessage) (worker, error) {
	var c PingConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	s, err := newPingSocket(c)
	if err != nil {
		return nil, err
	}
	w := &pingWorker{socket: s}
	if err := w.connect(c); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %v: %w", c.Remote, err), s.close())
	}
	return w, nil
}

func (w *pingWorker) connect(c PingConfig) error {
	if err := unix.Connect(w.socket.fd, sockaddr(c.Remote)); err != nil || !w.socket.stream {
		return err
	}
	return w.socket.ready()
}

// work sends a request unless one is under way, and waits for the answer.
func (w *pingWorker) work() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	if !w.waiting {
		w.number++
		w.began, w.waiting = now, true
		binary.BigEndian.PutUint64(w.socket.buffer, w.number)
		if err := w.socket.send(); err != nil {
			return err
		}
	}
	err = w.socket.receive()
	if errors.Is(err, errNothing) {
		return w.lose(time.Duration(now - w.began))
	}
	if err != nil {
		return err
	}
	return w.take()
}

// lose gives a request up that has waited for too long.
func (w *pingWorker) lose(waited time.Duration) error {
	switch {
	case w.socket.stream && waited > pingPatienceTCP:
		return fmt.Errorf("no answer for %v", waited)
	case !w.socket.stream && waited > pingPatience:
		w.lost++
		w.waiting = false
	}
	return nil
}

// take counts an answer, if it is that to the request under way.
func (w *pingWorker) take() error {
	now, err := monotonic()
	if err != nil || binary.BigEndian.Uint64(w.socket.buffer) != w.number {
		return err
	}
	w.waiting = false
	w.latency.add(now - w.began)
	return nil
}

// reset leaves the request under way alone: it counts when it is answered, as that at the end does not.
func (w *pingWorker) reset() error {
	w.latency, w.lost = Histogram{}, 0
	return nil
}

func (w *pingWorker) counts() (any, error) { return PingCounts{Latency: &w.latency, Lost: w.lost}, nil }

func (w *pingWorker) close() error { return w.socket.close() }
