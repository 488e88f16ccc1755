package load

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime"
)

// worker is what a helper does.
type worker interface {
	// work receives once. It returns in some milliseconds even if nothing comes.
	work() error
	// reset begins counting anew.
	reset() error
	// counts is what was counted, to be written as JSON.
	counts() (any, error)
	close() error
}

// Questions for a helper, after its configuration.
const (
	askCounts = "counts"
	askReset  = "reset"
)

// serve makes a worker from the first message and lets it work between the questions that follow, until the socket ends.
// All happens on one thread.
func serve(socket net.Conn, start func(json.RawMessage) (worker, error)) error {
	runtime.LockOSThread()
	defer socket.Close()
	decoder, encoder := json.NewDecoder(socket), json.NewEncoder(socket)
	var config json.RawMessage
	if err := decoder.Decode(&config); err != nil {
		return err
	}
	w, err := start(config)
	if err != nil {
		return encoder.Encode(answer{Error: err.Error()})
	}
	if err := encoder.Encode(answer{}); err != nil {
		return errors.Join(err, w.close())
	}
	questions, ended := make(chan string), make(chan error, 1)
	go func() {
		defer close(questions)
		ended <- listen(decoder, questions)
	}()
	err = labour(w, questions, encoder)
	socket.Close()
	for range questions {
	}
	return errors.Join(err, <-ended, w.close())
}

func listen(decoder *json.Decoder, questions chan<- string) error {
	for {
		var question string
		if err := decoder.Decode(&question); errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		questions <- question
	}
}

func labour(w worker, questions <-chan string, encoder *json.Encoder) error {
	for {
		select {
		case question, ok := <-questions:
			if !ok {
				return nil
			}
			if err := encoder.Encode(reply(w, question)); err != nil {
				return err
			}
		default:
		}
		if err := w.work(); err != nil {
			if _, ok := <-questions; ok { // whoever asks next is told why there will be no answer
				err = errors.Join(err, encoder.Encode(answer{Error: err.Error()}))
			}
			return err
		}
	}
}

func reply(w worker, question string) answer {
	value, err := any(nil), error(nil)
	switch question {
	case askCounts:
		value, err = w.counts()
	case askReset:
		err = w.reset()
	default:
		err = errors.New("unknown question " + question)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Value: raw}
}
