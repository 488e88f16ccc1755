package lab

import (
	"os/exec"
	"testing"
)

func TestNamespacesSeenFromOutside(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	ctx := testContext(t)
	h := l.Hosts[0]
	must(t)(h.Exec(ctx, "ip", "netns", "add", "box"))

	port, device := h.Port()
	for namespace, want := range map[string]string{
		h.Namespace(""):               "eth0 lo ",
		h.Namespace("/run/netns/box"): "lo ",
		port:                          device + " lo switch ",
	} {
		out, err := exec.Command("nsenter", "--net="+namespace, "sh", "-c",
			`ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | sort | tr '\n' ' '`).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s: got %q, %v, want %q", namespace, out, err, want)
		}
	}
}
