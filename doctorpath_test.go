package main

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"falcon/tests/lab"
)

// A path is judged by what comes back: all, small packets only, or nothing.
func TestPathIsJudgedByWhatComesBack(t *testing.T) {
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		send   func(size int) error
		ok     bool
		advice bool
	}{
		"all":   {func(int) error { return nil }, true, false},
		"small": {func(size int) error { return map[bool]error{true: lost}[size > 1400] }, false, true},
		"none":  {func(int) error { return lost }, true, true},
	} {
		if f := judgePath("h2", 1500, c.send); f.OK != c.ok || (f.Advice != "") != c.advice {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Echoes of the loopback come back, whatever their size and family.
func TestEcho(t *testing.T) {
	lab.Require(t)
	for _, address := range []string{"127.0.0.1", "::1"} {
		for _, size := range []int{100, 1500, 9000} {
			a := netip.MustParseAddr(address)
			if err := echo(context.Background(), a, a, size); err != nil {
				t.Errorf("%s, %d bytes: %v", address, size, err)
			}
		}
	}
}
