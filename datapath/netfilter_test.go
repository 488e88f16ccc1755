package datapath

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func (h *labHost) ensureHost() Change {
	h.t.Helper()
	c, err := h.EnsureHost(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// bridgedFramesMeetNetfilter is what Docker sets.
func (h *labHost) bridgedFramesMeetNetfilter() {
	h.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1")
}

// A host with Docker's FORWARD policy: nothing passes, until EnsureHost puts its rule in.
func TestOverlayPassesDockersForwardPolicy(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, "ipv4", true)
	o.a.bridgedFramesMeetNetfilter()
	for _, cmd := range []string{"iptables", "ip6tables"} {
		o.a.sh("%s -P FORWARD DROP", cmd)
		o.a.sh("%s -A FORWARD -m conntrack --ctstate INVALID -m comment --comment docker -j DROP", cmd)
	}
	for _, p := range o.cb.Addresses {
		o.ca.fails("ping -n -c 1 -W 1 %s", p.Addr())
	}
	if c := o.a.ensureHost(); c.Added != 2 {
		t.Errorf("first run: %+v", c)
	}
	for _, p := range o.cb.Addresses {
		o.ca.ping(p.Addr(), "")
	}
	if c := o.a.ensureHost(); c != (Change{}) {
		t.Errorf("idle run: %+v", c)
	}
	if entries := o.a.sh("cat /proc/net/nf_conntrack"); strings.Contains(entries, "10.0.0.") || strings.Contains(entries, "000a:") {
		t.Errorf("overlay packets are tracked:\n%s", entries)
	}
}

// The rule must be one that iptables made, as far as iptables can see, and stay first.
func TestForwardRuleIsIptables(t *testing.T) {
	h := newHost(t, "h")
	const rule = "-A FORWARD -i fbr-+ -o fbr-+ -j ACCEPT"
	first := func(cmd string) string {
		lines := strings.Split(h.sh("%s -S FORWARD", cmd), "\n")
		return lines[min(1, len(lines)-1)]
	}
	if h.ensureHost(); strings.Contains(h.sh("nft list ruleset"), "FORWARD") {
		t.Error("made a FORWARD chain where there was none")
	}
	for _, cmd := range []string{"iptables", "ip6tables"} {
		h.sh("%s -P FORWARD DROP", cmd)
		h.sh("%s -N DOCKER-USER", cmd)
		h.ensureHost()
		if got := first(cmd); got != rule {
			t.Errorf("%s: first rule is %q", cmd, got)
		}
		h.sh("%s -C FORWARD -i fbr-+ -o fbr-+ -j ACCEPT", cmd)
		// As Docker does when it starts.
		h.sh("%s -I FORWARD -j DOCKER-USER", cmd)
		h.sh("%s -I FORWARD -m addrtype --dst-type LOCAL -j DOCKER-USER", cmd)
		h.ensureHost()
		if got := first(cmd); got != rule {
			t.Errorf("%s: first rule after Docker's is %q", cmd, got)
		}
		if n := strings.Count(h.sh("%s -S FORWARD", cmd), rule); n != 1 {
			t.Errorf("%s: rule is there %d times", cmd, n)
		}
		h.sh("%s -F FORWARD", cmd)
		if c := h.ensureHost(); c.Added != 1 || first(cmd) != rule {
			t.Errorf("%s: flushed rule did not come back: %+v, %q", cmd, c, first(cmd))
		}
	}
}

func TestRemoveHostLeavesNothing(t *testing.T) {
	h := newHost(t, "h")
	h.sh("iptables -A FORWARD -i eth7 -j DROP")
	before := h.sh("nft list ruleset")
	h.ensureHost()
	if h.sh("nft list ruleset") == before {
		t.Fatal("EnsureHost did nothing")
	}
	for range 2 {
		if err := h.RemoveHost(context.Background()); err != nil {
			t.Fatal(err)
		}
		if after := h.sh("nft list ruleset"); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

func TestChangedTableIsMadeAnew(t *testing.T) {
	h := newHost(t, "h")
	h.ensureHost()
	h.sh("nft add rule inet falcon overlay drop")
	if c := h.ensureHost(); c.Added != 1 || strings.Contains(h.sh("nft list table inet falcon"), "drop") {
		t.Errorf("%+v\n%s", c, h.sh("nft list table inet falcon"))
	}
}

// NAT rules of the host, such as those for published ports, must not catch what containers say to each other.
func TestHostNATDoesNotTouchOverlay(t *testing.T) {
	o := newOverlay(t, "ipv4", true)
	o.a.bridgedFramesMeetNetfilter()
	o.a.ensureHost()
	o.a.sh("iptables -t nat -A PREROUTING -d 10.0.0.2 -j DNAT --to-destination 10.0.0.99")
	o.a.sh("iptables -t nat -A POSTROUTING -s 10.0.0.0/16 -j MASQUERADE")
	o.ca.ping(o.cb.Addresses[0].Addr(), "")
}

func TestLegacyTables(t *testing.T) {
	ctx := context.Background()
	for _, cmd := range []string{"iptables-legacy", "ip6tables-legacy"} {
		h := newHost(t, "h")
		h.bridgedFramesMeetNetfilter()
		h.sh("%s -L FORWARD", cmd)
		if _, err := h.EnsureHost(ctx); err != nil {
			t.Errorf("%s: empty table: %v", cmd, err)
		}
		h.sh("%s -P FORWARD DROP", cmd)
		_, err := h.EnsureHost(ctx)
		if !errors.Is(err, ErrLegacyTables) {
			t.Fatalf("%s: policy DROP: %v", cmd, err)
		}
		_, advice, _ := strings.Cut(err.Error(), "run: ")
		h.sh("%s", advice)
		if _, err := h.EnsureHost(ctx); err != nil {
			t.Errorf("%s: after %q: %v", cmd, advice, err)
		}
		h.sh("%s -F FORWARD", cmd)
		h.sh("%s -A FORWARD -i eth0 -j DROP", cmd)
		if _, err := h.EnsureHost(ctx); !errors.Is(err, ErrLegacyTables) {
			t.Errorf("%s: other rule: %v", cmd, err)
		}
		h.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")
		if _, err := h.EnsureHost(ctx); err != nil {
			t.Errorf("%s: bridged frames do not meet it: %v", cmd, err)
		}
	}
}
