package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"falcon/datapath"
	"falcon/driver"
	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

const (
	// steadyShare of what the machine can take is offered where nothing may be lost.
	steadyShare = 0.35
	// stallLimit is what an event may add to the longest gap that there is without it.
	stallLimit = 10 * time.Millisecond
	// attempts: a stall of falcon's making comes each time; those of a busy machine do not.
	attempts = 4
	// controls is how many windows tell what is usual: the machine is not always equally busy.
	controls = 6
	// longestChain is how many datagrams GRO chains at most (UDP_GRO_CNT_MAX).
	longestChain = 64
	// siegeLimit: it takes about a minute when the machine is quiet.
	siegeLimit = 2 * testLimit
)

// siege is a lab under load: packets come in at host b of the pair; at host a nothing does.
type siege struct {
	overlay
	pair
	mode  datapath.Mode
	short string           // --shortcut
	xdp   string           // --shortcut-xdp
	calm  *[]time.Duration // the longest gaps of the last windows in which nothing happened to host b
}

// Whatever happens to falcon, the packets that it steers arrive in order, all of those that there is room for, and without
// delay. What the machine itself does to them is told apart by control windows, in which the same happens to the falcon of the
// other host: as much work for the same cores, but not on the packets' way.
//
// The first stage is not split here: that takes an XDP program, and a veth that has one lets whatever core sends to it play the NIC's,
// as no NIC does.
func TestSteersOnUnderLoad(t *testing.T) {
	s := newSiege(t)
	const on, off = driver.ShortcutOn, driver.ShortcutOff
	few := []event{killed, turned}
	all := []event{killed, leftDead, restarted, upgraded, replaced, moved, turned, turnedOff, watched, peopled}
	for _, c := range []struct {
		mode          datapath.Mode
		short, xdp    string
		flows         int
		flood, steady []event
	}{
		{datapath.Static, off, off, 1, few, few},
		{datapath.Static, off, off, 8, all[:len(all)-2], all},
		{datapath.Dynamic, off, off, 8, []event{killed, replaced, turned}, []event{killed, restarted, turned}},
		// A change of modes is left out: GRO at the container's device may reorder what it holds when hashes change.
		{datapath.Static, on, off, 8, []event{killed, leftDead, moved}, []event{killed, upgraded}},
		{datapath.Off, on, on, 8, []event{killed, leftDead}, []event{killed, upgraded}},
	} {
		t.Run(fmt.Sprintf("%s, %d flows, shortcut %s, at the driver %s", c.mode, c.flows, c.short, c.xdp), func(t *testing.T) {
			s := s
			s.t, s.mode, s.short, s.xdp = t, c.mode, c.short, c.xdp
			s.configure()
			managed := s.endureFlood(c.flows, c.flood)
			s.endureSteady(c.flows, steadyShare*managed, c.steady)
		})
	}
}

func newSiege(t *testing.T) siege {
	t.Helper()
	lab.Require(t)
	binaries := map[string]string{
		nextVersion: buildVersion(t, nextVersion, nil),
		foreignMaps: buildVersion(t, foreignMaps, foreignObjects(t)),
	}
	o := newOverlay(t, lab.DockerOptions{})
	var cancel context.CancelFunc
	o.ctx, cancel = context.WithTimeout(t.Context(), siegeLimit)
	t.Cleanup(cancel)
	for name, binary := range binaries {
		o.check(o.Install(binary, name))
	}
	s := siege{overlay: o, pair: o.runPair(), calm: new([]time.Duration)}
	// Without it a veth does not receive in NAPI, as a NIC's driver does.
	o.check(load.EnableGRO(load.Device{Namespace: s.hostB.Namespace(""), Name: "eth0"}))
	return s
}

// configure has both hosts steer.
func (s siege) configure() {
	s.t.Helper()
	offload := map[string]string{driver.ShortcutOn: "off", driver.ShortcutOff: "on"}[cmp.Or(s.xdp, driver.ShortcutOff)]
	for _, h := range s.Hosts {
		s.must(h.Exec(s.ctx, "ethtool", "-K", "eth0", "rxvlan", offload, "tx", offload)) // what frames would lose at the driver
		argv := withFlag(withFlag(h.Plugin.Args(), "--steering", string(s.mode)), "--shortcut", s.short)
		h.Plugin.SetArgs(withFlag(argv, "--shortcut-xdp", cmp.Or(s.xdp, driver.ShortcutOff))...)
		s.restart(h)
		s.awaitSteering(h, s.mode)
	}
}

// endureFlood offers more than can be received, and gives the packets per second that arrived when nothing happened.
func (s siege) endureFlood(flows int, events []event) float64 {
	s.t.Helper()
	f := s.newFlood(s.pair, flows, 0)
	defer f.close()
	calm := s.window(f, "nothing happens", func() { time.Sleep(tail) })
	for _, e := range events {
		s.disturb(f, e)
	}
	return float64(calm.received) / calm.took.Seconds()
}

// endureSteady offers what can be received, so that all of it must be.
func (s siege) endureSteady(flows int, rate float64, events []event) {
	s.t.Helper()
	f := s.newFlood(s.pair, flows, rate)
	defer f.close()
	s.control(f, restarted)
	for _, e := range events {
		s.endures(f, e)
	}
}

// control is a window in which something happens to the other host.
func (s siege) control(f *flood, e event) {
	s.t.Helper()
	w := s.window(f, e.name+" on the other host", func() { e.do(s, s.hostA) })
	*s.calm = append(*s.calm, w.gap)
	*s.calm = (*s.calm)[max(0, len(*s.calm)-controls):]
}

// disturb is a window in which something happens to host b.
func (s siege) disturb(f *flood, e event) window {
	s.t.Helper()
	w := s.window(f, e.name, func() { e.do(s, s.hostB) })
	// Static mode sends every flow to another core, so this must show.
	if s.mode == datapath.Static && (w.hops == 0 || e.moves && w.migrations == 0) {
		s.t.Errorf("%s: there was nothing to be disturbed: %v", e.name, w.steps)
	}
	return w
}

// endures wants an event to pass without loss and without a stall.
func (s siege) endures(f *flood, e event) {
	s.t.Helper()
	var complaints []string
	for range attempts {
		s.control(f, e)
		w := s.disturb(f, e)
		complaints = nil
		if w.lost() != 0 {
			complaints = append(complaints, fmt.Sprintf("%d packets were lost", w.lost()))
		}
		if usual := slices.Max(*s.calm); w.gap > usual+stallLimit {
			complaints = append(complaints, fmt.Sprintf("no packet arrived for %v, and otherwise for %v at most", w.gap, usual))
		}
		if complaints == nil {
			return
		}
	}
	s.t.Errorf("%s, %d times; last: %v", e.name, attempts, complaints)
}

// window lets packets flow while something happens. They must arrive in order, once, and, but for those that found queues full,
// all.
func (s siege) window(f *flood, what string, something func()) window {
	s.t.Helper()
	if f.rate > 0 {
		what = fmt.Sprintf("%.0f/s, %s", f.rate, what)
	} else {
		what = "flood, " + what
	}
	before, came, full := s.steps(), s.camePast(), s.fullRings()
	w := f.during(something)
	w.steps = s.steps().since(before, w.sent)
	if s.xdp == driver.ShortcutOn {
		// A veth as NIC is polled on whatever core another packet has come in on, and then the generator fills its ring faster than that core takes
		// frames. What the ring had no room for has not come in.
		w.sent = s.camePast() - came
	}
	s.t.Logf("%s: %v; %v", what, w, w.steps)
	if w.reordered > 0 || w.duplicates > 0 {
		s.t.Errorf("%s: %d packets reordered, %d duplicated", what, w.reordered, w.duplicates)
	}
	// Backlogs are the whole machine's, and others may have filled them too. What they drop may be chains, which count as one.
	chain := uint64(1)
	if s.short == driver.ShortcutOn {
		chain = longestChain
	}
	rings := s.fullRings() - full
	if most := int64(w.sockets + chain*w.backlogs + rings); w.lost() < int64(w.sockets) || w.lost() > most {
		s.t.Errorf("%s: %d packets lost, of which sockets dropped %d, backlogs at most %d, rings %d", what, w.lost(), w.sockets, w.backlogs, rings)
	}
	return w
}

// camePast is how many packets the shortcut has taken in on host b.
func (s siege) camePast() (n uint64) {
	s.t.Helper()
	for _, network := range s.status(s.hostB).Networks {
		n += network.Shortcut.Ways["in"].Packets
	}
	return n
}

// fullRings is how many frames containers' devices on host b had no room for: a core that is busy with something else polls them late.
func (s siege) fullRings() (n uint64) {
	s.t.Helper()
	out := s.must(s.hostB.Exec(s.ctx, "sh", "-c", `for d in /sys/class/net/fp-*; do ethtool -S "${d##*/}"; done | awk '/xdp_xmit_errors/ {n += $2} END {print n + 0}'`))
	_, err := fmt.Sscan(out, &n)
	s.check(err)
	return n
}

// steps is what the programs on host b did to skbs: it shows that there was something to be disturbed.
type steps struct{ packets, hops, migrations, held, stale uint64 }

func (s siege) steps() (n steps) {
	s.t.Helper()
	for _, c := range s.status(s.hostB).Steering.Kernel.Cores {
		n.packets += c.NIC.Packets
		for _, stage := range []datapath.StageCounts{c.NIC, c.VXLAN} {
			n.hops += stage.Hops
			n.migrations += stage.Migrations
			n.held += stage.Held
			n.stale += stage.Stale
		}
	}
	return n
}

// since is what was done since, while so many packets were sent. Where programs or maps were replaced by others counting began anew,
// and fewer were counted.
func (n steps) since(before steps, sent uint64) steps {
	if n.packets < before.packets+sent/2 {
		return n
	}
	return steps{n.packets - before.packets, n.hops - before.hops, n.migrations - before.migrations, n.held - before.held, n.stale - before.stale}
}

func (n steps) String() string {
	return fmt.Sprintf("%d hops, %d migrations, %d held, %d stale", n.hops, n.migrations, n.held, n.stale)
}

// withFlag gives a command line another value of a flag.
func withFlag(argv []string, flag, value string) []string {
	if i := slices.Index(argv, flag); i >= 0 {
		argv = slices.Delete(argv, i, i+2)
	}
	return append(argv, flag, value)
}
