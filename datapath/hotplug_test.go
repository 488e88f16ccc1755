package datapath

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func uevent(fields ...string) []byte { return []byte(strings.Join(fields, "\x00") + "\x00") }

func TestIsHotplug(t *testing.T) {
	const path = "DEVPATH=/devices/system/cpu/cpu1"
	for name, c := range map[string]struct {
		msg  []byte
		want bool
	}{
		"online":  {uevent("online@/devices/system/cpu/cpu1", "ACTION=online", path, "SUBSYSTEM=cpu", "DRIVER=processor", "SEQNUM=900"), true},
		"offline": {uevent("offline@/devices/system/cpu/cpu1", "ACTION=offline", path, "SUBSYSTEM=cpu", "SEQNUM=901"), true},
		"no zero": {[]byte("online@/x\x00SUBSYSTEM=cpu\x00ACTION=online"), true},
		"change":  {uevent("change@/devices/system/cpu/cpu1", "ACTION=change", path, "SUBSYSTEM=cpu"), false},
		"memory":  {uevent("online@/devices/system/memory/memory1", "ACTION=online", "SUBSYSTEM=memory"), false},
		"queue":   {uevent("add@/devices/virtual/net/x/queues/rx-0", "ACTION=add", "SUBSYSTEM=queues"), false},
		"header":  {uevent("ACTION=online", "SUBSYSTEM=cpu"), false},
		"longer":  {uevent("online@/x", "ACTION=online", "SUBSYSTEM=cpus"), false},
		"udev":    {[]byte("libudev\x00\xfe\xed\xca\xfe"), false},
		"empty":   {nil, false},
	} {
		if got := isHotplug(c.msg); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzUevent(f *testing.F) {
	f.Add(uevent("online@/devices/system/cpu/cpu1", "ACTION=online", "SUBSYSTEM=cpu"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		action, subsystem := parseUevent(msg)
		if !strings.Contains(string(msg), action) || !strings.Contains(string(msg), subsystem) {
			t.Errorf("%q, %q", action, subsystem)
		}
	})
}

func TestWatchCPUsEnds(t *testing.T) {
	h := newHost(t, "h")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.watchCPUs(ctx, func() {}) }()
	select {
	case err := <-ended:
		t.Fatalf("ends by itself: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("does not end")
	}
	if err := h.watchCPUs(ctx, func() {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
