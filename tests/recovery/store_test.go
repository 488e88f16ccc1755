package recovery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"falcon/tests/lab"
)

// strangers are devices that are none of falcon's, for all that some of them have falcon's names, VNIs and ports.
const strangers = `
	ip link add br-foreign type bridge
	ip link add fbr-99 type bridge
	ip link add vx-foreign type vxlan id 77 dstport 8472 local $0 nolearning
	ip link add fvx-98 type vxlan id 98 dstport 4789 local $0
	ip link add fp-0123456789ab type veth peer name fc-0123456789ab
	ip link set vx-foreign master br-foreign
	ip link set fp-0123456789ab master fbr-99
	for d in br-foreign fbr-99 vx-foreign fvx-98 fp-0123456789ab fc-0123456789ab; do ip link set $d up; done
	bridge fdb add 02:00:00:00:00:01 dev vx-foreign dst 192.0.2.1
	bridge fdb add 02:00:00:00:00:02 dev fp-0123456789ab master static
	ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:03 dev fbr-99 nud permanent
	ip link set vx-foreign alias "falconry is not falcon"`

// addStrangers makes strangers on a host.
func (o overlay) addStrangers(h *lab.Host) {
	o.t.Helper()
	o.must(h.Exec(o.ctx, "bash", "-euc", strangers, h.Addr.String()))
}

// strangers describes the strangers on a host as they are now.
func (o overlay) strangers(h *lab.Host) string {
	o.t.Helper()
	return o.must(h.Exec(o.ctx, "bash", "-euc", `
		for d in br-foreign fbr-99 vx-foreign fvx-98 fp-0123456789ab fc-0123456789ab; do
			ip -json -details link show $d | sed 's/"[a-z_]*timer": *[0-9.]*//g'
			bridge fdb show dev $d
			ip neigh show dev $d nud permanent
			tc filter show dev $d ingress
		done`))
}

// With its file gone, a falcon that runs serves what it has; one that starts begins with nothing.
func TestFileDeleted(t *testing.T) {
	t.Parallel()
	o := newLab(t, lab.Options{Hosts: 1, Docker: &lab.DockerOptions{}, Falcon: falconOptions()})
	h := o.Hosts[0]
	o.addStrangers(h)
	strangers := o.strangers(h)
	empty, err := o.kernel(h)
	o.check(err)

	o.createNetwork(1)
	o.run(h, "aa", 1, 11)
	b := o.run(h, "bb", 1, 12)
	ping := o.ping(b, address(1, 11))
	o.must(h.Exec(o.ctx, "rm", "/var/lib/falcon/falcon.db"))
	o.refuses(h, "was deleted or moved while in use", createArgs(2)...)
	o.degraded(h, "store", "was deleted or moved while in use")
	o.observe(ping, 300*time.Millisecond)
	o.lossless(ping)

	o.check(h.Plugin.Restart(o.ctx))
	o.awaitKernel(h, empty, 10*time.Second)
	o.forgotten(h)
	o.clearEngine(h)
	o.usable(1)
	if now := o.strangers(h); now != strangers {
		t.Errorf("devices of others have changed:\n%s\nbefore:\n%s", now, strangers)
	}
}

// When somebody deletes all keys, every falcon notices at once.
func TestKeysDeleted(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	empty := map[*lab.Host][]string{}
	for _, h := range o.Hosts {
		o.addStrangers(h)
		var err error
		empty[h], err = o.kernel(h)
		o.check(err)
	}
	strangers := o.onHosts(o.strangers)

	o.runPair()
	o.check(o.DeleteStoreRecords(o.ctx, ""))
	for _, h := range o.Hosts {
		o.awaitKernel(h, empty[h], 10*time.Second)
		o.forgotten(h)
		o.clearEngine(h)
	}
	o.usable(1)
	for _, h := range o.Hosts {
		o.check(h.Plugin.Restart(o.ctx))
	}
	o.usable(1)
	if err := sameLines(o.onHosts(o.strangers), strangers); err != nil {
		t.Errorf("devices of others have changed: %v", err)
	}
}

// refuses wants an engine's command to fail in time, for a reason that the user is told.
func (o overlay) refuses(h *lab.Host, why string, args ...string) {
	o.t.Helper()
	began := time.Now()
	_, err := h.Docker(o.ctx, args...)
	if err == nil || !strings.Contains(err.Error(), why) {
		o.t.Errorf("docker %v: got %v, want an error with %q", args, err, why)
	}
	if took := time.Since(began); took > refusalLimit {
		o.t.Errorf("docker %v: took %v", args, took)
	}
}

// refusalLimit is falcon's own deadline of 15 s and the engine's share.
const refusalLimit = 20 * time.Second

// degraded wants a host's falcon to say of what it concerns why it does not work.
func (o overlay) degraded(h *lab.Host, what, why string) {
	o.t.Helper()
	o.eventually(10*time.Second, func() error {
		out, err := h.Falcon(o.ctx, "status")
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "DEGRADED "+what) && strings.Contains(line, why) {
				return nil
			}
		}
		return fmt.Errorf("status on %s does not say that %s is degraded, for %q: %w\n%s", h.Name, what, why, err, out)
	})
}

// forgotten wants a host's falcon to know no network, to say so, and to be well otherwise.
func (o overlay) forgotten(h *lab.Host) {
	o.t.Helper()
	if s := o.status(h); len(s.Networks) != 0 || len(s.Degraded) != 0 || s.Store.Error != "" {
		o.t.Errorf("status on %s: %+v", h.Name, s)
	}
	o.refuses(h, "is not known to falcon", "run", "--name", "late", "--network", networkName(1), lab.ImageName)
}
