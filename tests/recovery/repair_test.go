package recovery

import (
	"errors"
	"slices"
	"testing"
	"time"

	"falcon/tests/lab"
)

const (
	// byEvent is for what the kernel reports when it goes.
	byEvent = 5 * time.Second
	// byTimer is a reconcile interval (30 s) and some for the work.
	byTimer = 35 * time.Second
)

// damage is what somebody does to falcon's part of a host's kernel. The shell finds in its variables br, vx and port
// the devices of network 1 and of the container on this host, in near and far the MACs of this host's container and
// of the other's, in ip_near and ip_far their addresses, in host the other host's, and in pid the container.
type damage struct{ name, script string }

// What the kernel reports is repaired at once, and traffic is back with it.
var reported = []damage{
	{"bridge deleted", `ip link delete $br`},
	{"vxlan device deleted", `ip link delete $vx`},
	{"vxlan device taken out of the bridge", `ip link set $vx nomaster`},
	{"port taken out of the bridge", `ip link set $port nomaster`},
	{"host veth deleted", `ip link delete $port`},
	{"container's device deleted", `nsenter --net=/proc/$pid/ns/net ip link delete eth0`},
	{"all devices deleted", `ip link delete $port; ip link delete $br; ip link delete $vx`},
	{"rule deleted", `iptables -D FORWARD -i fbr-+ -o fbr-+ -j ACCEPT`},
	{"rules flushed", `iptables -F FORWARD`},
	{"rule no longer the first", `iptables -I FORWARD -i eth0 -j DROP`},
}

// What it does not report is found by the timer. Missing entries cost copies, not packets.
var silent = []damage{
	{"entry of the other's MAC at the bridge", `bridge fdb delete $far dev $vx master`},
	{"entry of the other's MAC at the vxlan device", `bridge fdb delete $far dev $vx dst $host self`},
	{"entry of the own MAC", `bridge fdb delete $near dev $port master`},
	{"neighbours", `ip neigh delete $ip_far dev $br; ip neigh delete $ip_near dev $br`},
	{"entries that nobody asked for", `
		bridge fdb add 02:00:00:00:00:01 dev $vx dst 192.0.2.1
		bridge fdb add 02:00:00:00:00:02 dev $port master static
		ip neigh add ${ip_far%.*}.200 lladdr 02:00:00:00:00:03 dev $br nud permanent`},
	{"learning", `bridge link set dev $vx learning on; bridge link set dev $port learning on`},
	{"guard", `tc qdisc delete dev $br clsact`},
}

// These take connectivity away until the timer finds them.
var cutting = []damage{
	{"entry of the other host", `bridge fdb delete 00:00:00:00:00:00 dev $vx dst $host self`},
	{"wrong host", `bridge fdb replace $far dev $vx dst 192.0.2.1 self`},
	{"wrong neighbour", `ip neigh replace $ip_far lladdr 02:00:00:00:00:03 dev $br nud permanent`},
	{"vxlan device down", `ip link set $vx down`},
	{"bridge down", `ip link set $br down`},
	{"port down", `ip link set $port down`},
}

func TestRepairs(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, lab.DockerOptions{})
	p := o.runPair()
	there, back := o.ping(p.a, p.toB), o.ping(p.b, p.toA)
	whole, err := o.stateOf(p)
	o.check(err)
	for _, rule := range []string{"FORWARD has our rule at 0", "table falcon has 1 rules (<nil>)"} {
		if !slices.Contains(whole, rule) {
			t.Fatalf("rules are not as they should be: %q", whole)
		}
	}
	r := repairs{o, p, whole}
	for _, d := range reported {
		began := time.Now()
		r.damage(d)
		r.awaits(byEvent)
		o.answers(there, byEvent)
		o.answers(back, byEvent)
		t.Logf("%s: %v", d.name, there.Result(began, time.Now()))
	}
	began := time.Now()
	o.deleteTable(p.hostA)
	r.awaits(byEvent)
	r.damage(silent...)
	r.awaits(byTimer)
	if result := there.Result(began, time.Now()); len(result.Lost) > 0 {
		t.Errorf("packets were lost for want of entries: %v", result)
	}
	began = time.Now()
	r.damage(cutting...)
	r.awaits(byTimer)
	if result := there.Result(began, time.Now()); len(result.Lost) == 0 {
		t.Errorf("nothing was lost without a path: the observer is blind: %v", result)
	}
	o.answers(there, byEvent)
	o.answers(back, byEvent)
	o.reaches(p.a, p.toB)
	o.reaches(p.b, p.toA)
	o.settles(time.Second)
}

// repairs are what the first host of a pair needs from time to time.
type repairs struct {
	overlay
	pair
	whole []string // its state without damage
}

// damage does it; a script that had nothing to do fails.
func (r repairs) damage(damages ...damage) {
	r.t.Helper()
	variables := r.variables(r.pair)
	for _, d := range damages {
		r.must(r.hostA.Exec(r.ctx, "sh", "-euc", variables+d.script))
	}
}

// awaits wants the host to be whole again.
func (r repairs) awaits(within time.Duration) {
	r.t.Helper()
	r.eventually(within, func() error {
		have, err := r.stateOf(r.pair)
		return errors.Join(err, sameLines(have, r.whole))
	})
}
