package subject

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestMaskOfCores(t *testing.T) {
	for list, want := range map[string]string{
		"0":       "00000001",
		"0-1":     "00000003",
		"0-3,8":   "0000010f",
		"1,31-33": "00000003,80000002",
		"0-64":    "00000001,ffffffff,ffffffff",
	} {
		if got, err := maskOf(list); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", list, got, err, want)
		}
	}
	if got, err := maskOf(""); err == nil {
		t.Errorf("no list is mask %s", got)
	}
}

// testRPS shows that a subject's Enter sets RPS on all of the way, or unsets it, also for places made later. n is of one
// that is not there yet.
func testRPS(ctx context.Context, t *testing.T, b *Bed, s Subject, n int) {
	mask := noCores
	if s.kind.rps {
		var err error
		if mask, err = onlineCores(); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range b.hosts() {
		late, err := b.Place(ctx, s, h, n)
		if err != nil {
			t.Fatal(err)
		}
		hidden, err := h.OverlayNamespace(ctx, overlay)
		if err != nil {
			t.Fatal(err)
		}
		early := b.place(s, h, 0)
		for _, at := range []struct{ sandbox, device string }{
			{"", NIC}, {hidden, "br*"}, {hidden, "vxlan*"}, {hidden, "veth*"},
			{early.Sandbox, early.Device.Name}, {late.Sandbox, late.Device.Name},
		} {
			err := inSys(h, at.sandbox, func() error {
				files, err := rpsFiles(at.device)
				for _, f := range files {
					got, err := os.ReadFile(f)
					if err != nil || trimMask(string(got)) != trimMask(mask) {
						t.Errorf("%s %s: %s holds %q, %v, want %s", h.Name, at.sandbox, f, got, err, mask)
					}
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// trimMask takes leading zeros away: the kernel writes as many digits as there are cores.
func trimMask(mask string) string { return strings.TrimLeft(strings.TrimSpace(mask), "0,") }
