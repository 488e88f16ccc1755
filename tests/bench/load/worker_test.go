package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// failing is a worker whose first work fails.
type failing struct {
	worker
	worked chan struct{}
}

func (f failing) work() error {
	close(f.worked)
	return errors.New("out of luck")
}

func TestCauseOfAFailureIsTold(t *testing.T) {
	questions, answers := make(chan string), &bytes.Buffer{}
	w, ended := failing{worked: make(chan struct{})}, make(chan error, 1)
	go func() { ended <- labour(w, questions, json.NewEncoder(answers)) }()
	<-w.worked
	questions <- askCounts
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("the worker ended with %v", err)
	}
	var a answer
	if err := json.Unmarshal(answers.Bytes(), &a); err != nil || a.Error != "out of luck" {
		t.Errorf("the answer is %q: %v", answers, err)
	}
}
