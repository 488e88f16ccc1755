package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
)

// The service manager hears that the daemon is ready, that it lives as often as it wants to, and that it stops.
func TestServiceManagerIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "20000")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	log, logged := test.NewNullLogger()
	ready := make(chan struct{})
	go func() { defer close(done); tellSystemd(ctx, ready, time.Millisecond, log) }()
	next := func() string {
		t.Helper()
		buffer := make([]byte, 100)
		if err := heard.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := heard.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	for i, want := range []string{"READY=1\nSTATUS=the store has not been read yet: see falcon status", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := next(); got != want {
			t.Errorf("message %d is %q, want %q", i, got, want)
		}
	}
	close(ready)
	got := next()
	for got == "WATCHDOG=1" {
		got = next()
	}
	if got != "READY=1\nSTATUS=ready" {
		t.Errorf("when it is ready: %q", got)
	}
	stop()
	<-done
	got = next()
	for got == "WATCHDOG=1" {
		got = next()
	}
	if got != "STOPPING=1" || len(logged.AllEntries()) > 0 {
		t.Errorf("at the end: %q, logged %v", got, logged.AllEntries())
	}
}
