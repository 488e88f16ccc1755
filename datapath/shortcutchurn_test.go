package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// churn is how many endpoints come and go in a test.
const churn = 2000

// Endpoints come, go and move while others talk: these lose nothing, and nothing comes to a place that an endpoint has left.
func TestShortcutChurn(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	stays := o.cb.Addresses[0].Addr()
	// The one that moves is at host a as well as at host b, and each says who it is.
	mover := endpointN(labVNI, 100)
	atA, atB := o.a.attach(mover), o.b.attach(mover)
	n := o.a.network(labVNI)
	fa, fb := o.forwardings()
	seen := atA.capture("eth0", "udp port 7")

	var pings bytes.Buffer
	ping := exec.Command("ip", "netns", "exec", o.ca.name, "ping", "-n", "-q", "-i", "0.005", stays.String())
	ping.Stdout, ping.Stderr = &pings, &pings
	if err := ping.Start(); err != nil {
		t.Fatal(err)
	}
	churned := 0
	here := false
	for i := 0; churned < churn; i++ {
		// Endpoints that do not exist, by the dozen.
		for k := range 12 {
			id := 200 + (12*i+k)%600
			fa.Remote[fmt.Sprint(id)] = remoteOf(endpointN(labVNI, id), o.b.under)
			delete(fa.Remote, fmt.Sprint(200+(12*i+k+300)%600))
			churned++
		}
		// And one that moves.
		if here = !here; here {
			delete(fa.Remote, mover.ID)
			fa.Local[mover.ID], fb.Remote[mover.ID] = atA.Endpoint, remoteOf(mover, o.a.under)
			delete(fb.Local, mover.ID)
			o.b.sync(o.b.network(labVNI), fb)
			o.a.sync(n, fa)
		} else {
			delete(fa.Local, mover.ID)
			delete(fb.Remote, mover.ID)
			fb.Local[mover.ID], fa.Remote[mover.ID] = atB.Endpoint, remoteOf(mover, o.b.under)
			o.b.sync(o.b.network(labVNI), fb)
			o.a.sync(n, fa)
			before := o.a.way("local")
			o.say(t, mover.Addresses[0].Addr(), "elsewhere")
			if o.a.way("local") != before {
				t.Error("a packet for an endpoint that has moved was delivered where it was")
			}
		}
	}
	if got := seen(); strings.Contains(got, "UDP") {
		t.Errorf("delivered to where the endpoint had been:\n%s", got)
	}
	if err := errors.Join(ping.Process.Signal(interrupt), ping.Wait()); err != nil || !strings.Contains(pings.String(), " 0% packet loss") {
		t.Errorf("of an endpoint that did not change: %v: %s", err, pings.String())
	}
}

// say sends a datagram from host a's container.
func (o overlay) say(t *testing.T, to netip.Addr, what string) {
	t.Helper()
	err := o.ca.in(func() error { return sendDatagram(netip.AddrPortFrom(to, 7), what) })
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond) // softirqs run when it has been sent, before the next line does
}
