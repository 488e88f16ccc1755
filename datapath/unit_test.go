package datapath

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"pgregory.net/rapid"
)

func TestTag(t *testing.T) {
	mac := MAC{2, 0x42, 10, 0, 0, 2}
	id := strings.Repeat("ab", 32)
	for alias, want := range map[string]tag{
		"falcon network=blue vni=42":                                                   {network: "blue", vni: 42},
		"falcon network=two%20words%25 vni=16777215":                                   {network: "two words%", vni: MaxVNI},
		"falcon endpoint=" + id + " network=blue vni=42 mac=02:42:0a:00:00:02":         {network: "blue", vni: 42, endpoint: id, mac: mac},
		"falcon endpoint=" + id + " network=blue vni=42 mac=02:42:0a:00:00:02 later=1": {network: "blue", vni: 42, endpoint: id, mac: mac},
	} {
		if got, ok := parseTag(alias); !ok || got != want {
			t.Errorf("%s: %+v, %v", alias, got, ok)
		}
		if s := want.String(); !strings.HasPrefix(alias, s) {
			t.Errorf("%+v becomes %q", want, s)
		}
	}
	for _, alias := range []string{"", "falcon", "falcon ", "falcon network=blue", "falcon vni=42", "falcon network= vni=42",
		"falcon network=blue vni=0", "falcon network=blue vni=16777216", "falcon network=%zz vni=1", "falcon network=blue vni=42 x",
		"falconnetwork=blue vni=42", "falcon endpoint=ab network=blue vni=42", "falcon network=blue vni=42 mac=02:42:0a:00:00:02",
		"falcon endpoint=ab network=blue vni=42 mac=01:42:0a:00:00:02"} {
		if got, ok := parseTag(alias); ok {
			t.Errorf("%q is taken for %+v", alias, got)
		}
	}
}

// What is written can be read, for any name; what is read is what would be written.
func FuzzTag(f *testing.F) {
	f.Add("blue", uint32(42), "abcdef", "falcon network=blue vni=42")
	f.Add("a b=c\n%", uint32(1), "", "falcon endpoint=ab network=blue vni=42 mac=02:42:0a:00:00:02")
	f.Fuzz(func(t *testing.T, network string, vni uint32, endpoint, alias string) {
		want := tag{network: network, vni: 1 + VNI(vni)%MaxVNI, endpoint: endpoint}
		if endpoint != "" {
			want.mac = MAC{2, 1}
		}
		if got, ok := parseTag(want.String()); network != "" && (!ok || got != want) {
			t.Errorf("%q is read as %+v, %v", want, got, ok)
		}
		if got, ok := parseTag(alias); ok {
			if again, ok := parseTag(got.String()); !ok || again != got {
				t.Errorf("%q: %+v, then %+v", alias, got, again)
			}
		}
	})
}

// Messages come from the kernel, but a decoder that can be made to panic is a bug.
func FuzzDecoders(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x00", 64)))
	f.Fuzz(func(_ *testing.T, msg []byte) {
		_, _ = parseLink(msg)
		_, _ = parseNeigh(msg)
	})
}

// Applying a diff to what there is gives what there should be, and never removes what is wanted.
func TestReconcileConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.MapOf(rapid.IntRange(0, 9), rapid.IntRange(0, 2))
		have, want := table.Draw(t, "have"), table.Draw(t, "want")
		added, removed := 0, 0
		now := maps.Clone(have)
		c, err := reconcile(context.Background(), have, want,
			func(k, v int) error { now[k] = v; added++; return nil },
			func(k, v int) error {
				if _, ok := want[k]; ok || have[k] != v {
					t.Fatalf("removes %d=%d", k, v)
				}
				for k, v := range want {
					if now[k] != v {
						t.Fatalf("removes before %d is there", k)
					}
				}
				delete(now, k)
				removed++
				return nil
			})
		if err != nil || !maps.Equal(now, want) || c != (Change{added, removed}) {
			t.Fatalf("%v, want %v: %+v, %v", now, want, c, err)
		}
		if maps.Equal(have, want) != (c == Change{}) {
			t.Fatalf("%+v", c)
		}
	})
}

func TestReconcileGoesOnAfterErrors(t *testing.T) {
	boom := errors.New("boom")
	calls := 0
	c, err := reconcile(context.Background(), map[int]int{9: 9}, map[int]int{1: 1, 2: 2, 3: 3},
		func(k, _ int) error {
			calls++
			if k == 2 {
				return boom
			}
			return nil
		},
		func(int, int) error { t.Error("removes although something wanted is missing"); return nil })
	if calls != 3 || c.Added != 2 || !errors.Is(err, boom) {
		t.Errorf("%d calls, %+v, %v", calls, c, err)
	}
}

// An interrupted listing is repeated, then an error, never a result.
func TestInterruptedDumpIsNoResult(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	list := func(interrupted int) func() ([]int, error) {
		calls = 0
		return func() ([]int, error) {
			if calls++; calls <= interrupted {
				return []int{1}, netlink.ErrDumpInterrupted
			}
			return []int{1, 2}, nil
		}
	}
	if got, err := uninterrupted(ctx, list(dumpAttempts-1)); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := uninterrupted(ctx, list(dumpAttempts)); !errors.Is(err, ErrInterrupted) || got != nil || calls != dumpAttempts {
		t.Errorf("%v, %v, %d calls", got, err, calls)
	}
	cancel()
	if _, err := uninterrupted(ctx, list(0)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Names must fit into the kernel's 15 characters.
func TestNamesFit(t *testing.T) {
	id := strings.Repeat("f", 64)
	for _, name := range []string{bridgeName(MaxVNI), vxlanName(MaxVNI), hostDevice(id), ContainerDevice(id)} {
		if len(name) > 15 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
	if hostDevice("ab") != "fp-ab" {
		t.Error("short ID")
	}
}
