package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"falcon/datapath"
	"falcon/driver"
)

// busyHost is two samples of a host, a second apart, with so many CPUs: the first receives, the second has the container.
func busyHost(cpus int) (before, after topSample) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	status := func(n uint64) driver.Status {
		s := driver.Status{Host: driver.HostStatus{Name: "node1"}}
		s.Steering = driver.SteeringStatus{Mode: "dynamic", Shortcut: "off", Split: "off"}
		s.Steering.Kernel = datapath.SteeringStatus{CPUs: fmt.Sprintf("0-%d", cpus-1), Hooks: "tcx",
			Reason: "spreading: a core that receives is full and others have room"}
		for cpu := range cpus {
			s.Steering.Kernel.Cores = append(s.Steering.Kernel.Cores, datapath.CoreStatus{CPU: cpu, Steerable: true})
		}
		cores := s.Steering.Kernel.Cores
		cores[0].Busy, cores[0].Softirq, cores[0].Drops = 0.97, 0.91, 7*n
		cores[0].NIC = datapath.StageCounts{Packets: 312400 * n, Bytes: 31240000 * n, Skbs: 312400 * n, Hops: 250000 * n, Inline: 62400 * n}
		cores[0].VXLAN = datapath.StageCounts{Packets: 62400 * n, Inline: 62400 * n}
		cores[1].Busy, cores[1].Softirq, cores[1].Backlog = 0.55, 0.5, 120
		cores[1].VXLAN = datapath.StageCounts{Packets: 250000 * n, Inline: 250000 * n, Migrations: 3 * n, Held: 41 * n}
		cores[1].Container = datapath.StageCounts{Packets: 250000 * n}
		flow := driver.FlowPlace{Network: "web", Address: netip.MustParseAddr("10.72.0.2"), Protocol: "udp", Port: 5201, VXLAN: 1, Container: 1}
		for i := range 3 {
			flow.Bucket, flow.Sent, flow.Volume = 7+i, uint32((80000+5000*i)*int(n)), uint64((8000000+500000*i)*int(n))
			s.Steering.Flows = append(s.Steering.Flows, flow)
		}
		s.Steering.Flows = append(s.Steering.Flows,
			driver.FlowPlace{VNI: 77, MAC: "02:42:0a:48:00:03", Protocol: "icmp", Sent: 900 * uint32(n), Volume: 90000 * n},
			driver.FlowPlace{Network: "web", Address: netip.MustParseAddr("fd72::2"), Protocol: "tcp", Port: 443, Sent: 40 * uint32(n), Volume: 1, VXLAN: 1, Bucket: 1})
		s.Networks = []driver.NetworkStatus{{Steering: "dynamic"}}
		return s
	}
	return topSample{at, status(1)}, topSample{at.Add(2 * time.Second), status(3)}
}

// texts are the lines of a view.
func texts(v topView) []string {
	var list []string
	for _, line := range v.lines() {
		list = append(list, line.text)
	}
	return list
}

func viewOf(cpus, width, height int) topView {
	before, after := busyHost(cpus)
	return topView{before: before, after: after, width: width, height: height, keys: true}
}

func TestTopFitsTheWindow(t *testing.T) {
	for _, cpus := range []int{2, 8, 128} {
		for _, size := range [][2]int{{80, 24}, {40, 24}, {200, 60}, {80, 10}, {20, 5}, {1, 1}} {
			lines := texts(viewOf(cpus, size[0], size[1]))
			if len(lines) > size[1] {
				t.Errorf("%d CPUs, %v: %d lines:\n%s", cpus, size, len(lines), strings.Join(lines, "\n"))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > size[0] {
					t.Errorf("%d CPUs, %v: %d columns: %s", cpus, size, n, line)
				}
			}
		}
	}
}

func TestTopSaysWhatMatters(t *testing.T) {
	always := []string{"node1", "dynamic", "spreading", "312.4", "62.4", "250.0", "97%", "10.72.0.2:5201/udp", "q quit"}
	for _, c := range []struct {
		width int
		with  []string
		less  []string
	}{
		{40, []string{"0>1>1"}, []string{"###", "drops/s", "missed"}},
		{80, []string{"####", "hops/s", "migr/s", "250k", "drops/s", "backlog", "held/s", "web", "cpu0 > cpu1 > cpu1", "255.0", "<0.1", "kpps", "02:42:0a:48:00:03/icmp", "VNI 77",
			"[fd72::2]:443/tcp", "cpu0 > cpu1 > cpu0", "total", "balancer: spreading"}, []string{"missed", "stale", "2nd", "\x1b"}},
		{200, []string{"shortcut off", "split off", "CPUs 0-1", "inline/s", "204.0"}, nil},
	} {
		text := strings.Join(texts(viewOf(2, c.width, 30)), "\n")
		for _, part := range append(c.with, always...) {
			if !strings.Contains(text, part) {
				t.Errorf("width %d: no %q in\n%s", c.width, part, text)
			}
		}
		for _, part := range c.less {
			if strings.Contains(text, part) {
				t.Errorf("width %d: %q in\n%s", c.width, part, text)
			}
		}
	}
}

// Where first stages may be split, there is a stage before the NIC's, and its queue counts as backlog.
func TestTopShowsSplitting(t *testing.T) {
	v := viewOf(2, 80, 24)
	for n, sample := range map[uint64]*topSample{1: &v.before, 3: &v.after} {
		k := &sample.status.Steering.Kernel
		k.Split = &datapath.SplitStatus{Device: "u0"}
		k.Cores[0].Driver = datapath.StageCounts{Packets: 77700 * n, Hops: 77700 * n}
		k.Cores[1].Queue = datapath.QueueStatus{Waiting: 17, Drops: 5 * n}
		sample.status.Steering.Flows[0].NIC = 1
	}
	text := strings.Join(texts(v), "\n")
	for _, part := range []string{"driver    NIC  VXLAN container", "77.7", "\ndriver ", "137", "5.0", "driver > NIC > VXLAN > container", "cpu0 > cpu1 > cpu1 > cpu1"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// On many CPUs the busy ones are shown, in order, and the sum is of all.
func TestTopShowsTheBusiestOfManyCPUs(t *testing.T) {
	text := strings.Join(texts(viewOf(128, 80, 24)), "\n")
	for _, part := range []string{"\n0 ", "\n1 ", "all 128", "10.72.0.2:5201/udp"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestTopTellsWhatIsUnusual(t *testing.T) {
	v := viewOf(2, 80, 24)
	s := &v.after.status
	s.Networks = []driver.NetworkStatus{{Steering: "static"}, {Steering: "dynamic"}}
	if got := strings.Join(texts(v), "\n"); !strings.Contains(got, "dynamic (1 of 2 networks differ)") {
		t.Error(got)
	}
	s.Steering.Experiment = "off"
	s.Degraded = []driver.Degraded{{What: "store", Why: "slow"}, {What: "steering: balancer", Why: "stopped"}, {What: "steering: x", Why: "y"}}
	got := strings.Join(texts(v), "\n")
	for _, part := range []string{"off (EXPERIMENT, configured: dynamic)", "DEGRADED steering: balancer: stopped", "and 1 more"} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, got)
		}
	}
}

// One line says what decides where packets go.
func TestTopSaysWhoDecides(t *testing.T) {
	for want, modes := range map[string][]string{
		"balancer: spreading":  {"static", "dynamic"},
		"static: each flow's":  {"off", "static"},
		"off: packets stay on": {"off"},
		"no network yet":       nil,
	} {
		v := viewOf(2, 80, 24)
		v.after.status.Networks = nil
		for _, m := range modes {
			v.after.status.Networks = append(v.after.status.Networks, driver.NetworkStatus{Steering: m})
		}
		if got := strings.Join(texts(v), "\n"); !strings.Contains(got, "\n"+want) {
			t.Errorf("%q: no %q in\n%s", modes, want, got)
		}
	}
}

// While nothing is steered, there is load and nothing else.
func TestTopWithoutSteering(t *testing.T) {
	v := viewOf(2, 80, 24)
	k := &v.after.status.Steering.Kernel
	k.CPUs, v.after.status.Steering.Flows = "", nil
	got := strings.Join(texts(v), "\n")
	if !strings.Contains(got, "97% #######|") || strings.Contains(got, "kpps") || strings.Contains(got, "stage") {
		t.Error(got)
	}
}

// Lines with figures, as on 80 columns. What is not right here cannot be read well either.
func TestTopLooksAsItShould(t *testing.T) {
	want := `falcon top  node1  15:04:07  steering dynamic  CPUs 0-1  shortcut off  split off
balancer: spreading: a core that receives is full and others have room

                                         -------- kpps ---------
CPU   load #softirq sirq backlog drops/s    NIC  VXLAN container hops/s migr/s
0      97% #######|  91%       0     7.0  312.4   62.4         0   250k      0
1      55% ####      50%     120       0      0  250.0     250.0      0    3.0
total  76% ######    70%     120     7.0  312.4  312.4     250.0   250k    3.0

stage       kpps Mbit/s hops/s inline/s migr/s held/s
NIC        312.4  249.9   250k      62k      0      0
VXLAN      312.4      0      0     312k    3.0     41
container  250.0      0      0        0      0      0

flows to               network flows   kpps Mbit/s NIC > VXLAN > container
02:42:0a:48:00:03/icmp VNI 77      1    0.9    0.7 cpu0 > cpu0 > cpu0
10.72.0.2:5201/udp     web         3  255.0  204.0 cpu0 > cpu1 > cpu1
[fd72::2]:443/tcp      web         1   <0.1      0 cpu0 > cpu1 > cpu0



try on this host: o off  s static  d dynamic  p split  r as configured  q quit`
	if got := strings.Join(texts(viewOf(2, 80, 22)), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Counters that began anew, and CPUs that have just come, have no rates.
func TestRatesBetweenSamples(t *testing.T) {
	before, after := busyHost(2)
	for name, c := range map[string]struct{ before, after topSample }{
		"counters went back": {after, topSample{after.at.Add(time.Second), before.status}},
		"a CPU has come":     {topSample{at: before.at}, after},
		"no time has passed": {after, after},
	} {
		for _, core := range ratesBetween(c.before, c.after) {
			if core.all() != (rates{}) || core.drops != 0 {
				t.Errorf("%s: %+v", name, core)
			}
		}
	}
	if got := ratesBetween(before, after)[0]; got.stages[stageNIC].packets != 312400 || got.drops != 7 {
		t.Errorf("%+v", got)
	}
}
