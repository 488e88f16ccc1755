package driver

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
)

// A flood of failures leaves few lines, and the next line after it says how many are missing.
func TestFailuresAreLoggedSparsely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logged := test.NewNullLogger()
		f := newFailureLog()
		for range 1000 {
			f.note(log, errors.New("no"))
		}
		if n := len(logged.AllEntries()); n != failuresAtOnce {
			t.Errorf("%d lines", n)
		}
		time.Sleep(time.Second)
		f.note(log, errors.New("no"))
		if last := logged.LastEntry(); last.Data["unlogged"] != uint64(1000-failuresAtOnce) {
			t.Errorf("the next line: %v", last.Data)
		}
	})
}
