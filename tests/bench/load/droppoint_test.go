package load

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"falcon/tests/lab"
)

// dropped sums up the cores of a drop point.
func dropped(t *testing.T, d *DropPoint) (all uint64) {
	t.Helper()
	byCore, err := d.Dropped()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range byCore {
		all += n
	}
	return all
}

func newDropPoint(t *testing.T, c Config, at Device, decapsulated bool) *DropPoint {
	t.Helper()
	d, err := NewDropPoint(c, at, decapsulated)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDropPointCountsWhatWasSent(t *testing.T) {
	top := newTopology(t, outer4)
	r := newReader(t, ReaderConfig{Namespace: top.container, Listen: netip.AddrPortFrom(inner4[1], flowPort)})
	c := Config{At: top.at(NAPI), Entry: NAPI, Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 16}
	g := newGenerator(t, c)
	other := c
	other.Payload = 17
	g2 := newGenerator(t, other)
	for name, at := range map[string]struct {
		device       Device
		decapsulated bool
	}{
		"NIC":       {Device{top.host, "uB"}, false},
		"VXLAN":     {Device{top.host, "vx0"}, true},
		"container": {Device{top.container, "eth0"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDropPoint(t, c, at.device, at.decapsulated)
			sent, err := g.Run(t.Context(), 20*fits, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if got := dropped(t, d); got != sent.Packets() || got != fits {
				t.Errorf("dropped %d of %d, sent %d", got, fits, sent.Packets())
			}
			// Others pass, and so do ours when it is gone.
			exchange(t, g2, r, fits)
			if got := dropped(t, d); got != sent.Packets() {
				t.Errorf("dropped %d packets of others", got-sent.Packets())
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			exchange(t, g, r, fits)
		})
	}
}

// As fast as can be, too, up to where nothing has queued yet.
func TestDropPointCountsAtFullSpeed(t *testing.T) {
	top := newTopology(t, outer4)
	c := Config{At: top.at(NAPI), Entry: NAPI, Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 16}
	g, d := newGenerator(t, c), newDropPoint(t, c, Device{top.host, "uB"}, false)
	sent, err := g.Run(t.Context(), 0, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := dropped(t, d); got != sent.Packets() || got == 0 {
		t.Errorf("dropped %d, sent %d", got, sent.Packets())
	}
}

func TestDropPointsThatCannotBeAreRefused(t *testing.T) {
	good := Config{At: Device{Name: "eth0"}, Flows: flows(t, 2, inner4), Payload: 16}
	long, several, tcp := good, good, good
	long.Payload = 3000
	several.Flows = flows(t, 2, inner4)
	several.Flows[1].Dst = netip.AddrPortFrom(inner4[1], flowPort+1)
	tcp.Protocol, tcp.Entry = TCP, NAPI
	for name, c := range map[string]Config{"fragments": long, "ports": several, "TCP": tcp} {
		if _, err := NewDropPoint(c, Device{Name: "lo"}, true); !errors.Is(err, errDropPoint) {
			t.Errorf("%s: got %v, want %v", name, err, errDropPoint)
		}
	}
	lab.Require(t)
	if _, err := NewDropPoint(good, Device{Name: "absent"}, true); err == nil {
		t.Error("a device that is not there passed")
	}
}
