package datapath

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// recorder is a Watcher that passes on what it is told.
type recorder struct {
	rules  chan struct{}
	links  chan string
	routes chan netip.Prefix
}

func (r recorder) RulesChanged()                { r.rules <- struct{}{} }
func (r recorder) LinkGone(name string)         { r.links <- name }
func (r recorder) RouteChanged(to netip.Prefix) { r.routes <- to }

func TestWatch(t *testing.T) {
	h := lone(t)
	h.ensureNetwork(h.network(labVNI))
	h.sh("iptables -N X")
	r := recorder{make(chan struct{}, 100), make(chan string, 100), make(chan netip.Prefix, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Watch(ctx, r) }()

	wait := func(what string, happened func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if happened() {
				return
			}
		}
		t.Errorf("not told of: %s", what)
	}
	rule := func() bool {
		select {
		case <-r.rules:
			return true
		default:
			return false
		}
	}
	wait("a rule", func() bool { h.sh("iptables -A X -j DROP"); return rule() }) // until it listens
	time.Sleep(50 * time.Millisecond)
	for rule() {
	}
	h.sh("iptables -F X")
	wait("a flush", rule)
	gone := func(name string) func() bool {
		return func() bool {
			select {
			case got := <-r.links:
				return got == name
			default:
				return false
			}
		}
	}
	h.ip("link set fvx-42 nomaster")
	wait("a port that left", gone("fvx-42"))
	h.ip("link del fbr-42")
	wait("a bridge deleted", gone("fbr-42"))

	h.ip("link add r0 type veth peer name r1")
	h.ip("link set r0 up")
	h.ip("addr add 192.0.2.1/24 dev r0")
	route := func(to string) func() bool {
		return func() bool {
			select {
			case got := <-r.routes:
				return got == mustPrefix(to)
			default:
				return false
			}
		}
	}
	wait("an address's subnet", route("192.0.2.0/24"))
	h.ip("route add 198.51.100.0/25 dev r0")
	wait("a route", route("198.51.100.0/25"))
	h.ip("route del 198.51.100.0/25")
	wait("a route that went", route("198.51.100.0/25"))

	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("does not end")
	}
}
