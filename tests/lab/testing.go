package lab

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const (
	startLimit    = 2 * time.Minute
	diagnoseLimit = 30 * time.Second
)

// Require skips the test for an ordinary user, who can make neither a lab nor a namespace. In CI, where the variable of
// that name is set, it fails instead.
func Require(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// New makes a lab that ends with the test. When the test fails, what the lab looked like is written to
// out/lab/TEST.txt of the module, and its main parts to the test's log.
func New(t testing.TB, o Options) *Lab {
	t.Helper()
	Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	l, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			report(t, l)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func report(t testing.TB, l *Lab) {
	// The test's own context has ended.
	ctx, cancel := context.WithTimeout(context.Background(), diagnoseLimit)
	defer cancel()
	for _, d := range l.daemons() {
		t.Logf("end of %s:\n%s", filepath.Base(d.Log), d.LogTail())
	}
	file, err := l.SaveReport(ctx, t.Name())
	if err != nil {
		t.Log(err)
		return
	}
	t.Logf("state of the lab at the time of the failure: %s", file)
}
