package datapath

import (
	"context"
	"os"
	"strings"
	"testing"
)

// This kernel has everything, and looking leaves no trace.
func TestProbe(t *testing.T) {
	h := lone(t)
	before := h.fullList()
	namespaces := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	h.Probe(context.Background()) // what is opened once stays open
	open := namespaces()
	findings := h.Probe(context.Background())
	if len(findings) < 8 {
		t.Errorf("%d findings", len(findings))
	}
	for _, f := range findings {
		if !f.OK || f.Detail != "" || f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	unchanged(t, before, h.fullList())
	if now := namespaces(); now != open {
		t.Errorf("%d files open, then %d", open, now)
	}
	h.bridgedFramesMeetNetfilter()
	h.sh("iptables-legacy -P FORWARD DROP")
	findings = h.Probe(context.Background())
	if last := findings[len(findings)-1]; last.OK || !strings.Contains(last.Detail, "iptables-legacy -I FORWARD") || last.Advice == "" {
		t.Errorf("%+v", last)
	}
}
