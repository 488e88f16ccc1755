package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"falcon/datapath"
	"falcon/driver"
)

// steered tells whether the daemon is to steer any network, or will once there is one.
func steered(s *driver.Status) bool {
	if s == nil {
		return false
	}
	if len(s.Networks) == 0 {
		return cmp.Or(s.Steering.Experiment, s.Steering.Mode) != string(datapath.Off)
	}
	return slices.ContainsFunc(s.Networks, func(n driver.NetworkStatus) bool { return n.Steering != string(datapath.Off) })
}

// probeSteering tries what the kernel must be able to do for steering. Where nothing is to be steered, nothing fails without.
func probeSteering(ctx context.Context, wanted bool) []datapath.Finding {
	dp, err := openDatapath()
	if err != nil {
		return nil // probe has said so
	}
	defer dp.Close()
	findings := append(dp.ProbeSteering(ctx), datapath.ProbePins())
	if !wanted {
		for i := range findings {
			findings[i] = lenient(findings[i])
		}
	}
	return findings
}

// probeShortcut tries what the kernel must be able to do for the shortcut.
func probeShortcut(s *driver.Status) datapath.Finding {
	wanted := s != nil && (s.Steering.Shortcut == driver.ShortcutOn ||
		slices.ContainsFunc(s.Networks, func(n driver.NetworkStatus) bool { return n.Shortcut.Mode == driver.ShortcutOn }))
	f := datapath.ProbeShortcut()
	if !f.OK && !wanted {
		f.OK, f.Advice = true, "only --shortcut=on suffers from it: "+f.Advice
	}
	return f
}

// lenient is a finding about what is not used.
func lenient(f datapath.Finding) datapath.Finding {
	if !f.OK {
		f.OK, f.Advice = true, "only --steering=static and dynamic suffer from it: "+f.Advice
	}
	return f
}

// examineSteering looks at settings of this host that steering depends on or gets in the way of.
func examineSteering(ctx context.Context, dp *datapath.Datapath, nic string, s *driver.Status) []datapath.Finding {
	findings := []datapath.Finding{examineCPUs(s)}
	if !steered(s) {
		return findings
	}
	findings = append(findings, examineBacklog(sysctlCore), examineNIC(ctx, dp, nic), examineOrder(ctx, dp, nic))
	var devices []string
	for _, n := range s.Networks {
		devices = append(devices, n.VXLAN)
	}
	return append(findings, examineRFS(ctx, dp, sysctlCore, devices))
}

// examineCPUs says between which CPUs there is a choice.
func examineCPUs(s *driver.Status) datapath.Finding {
	f := datapath.Finding{Check: "steering CPUs", OK: true}
	used, isolated, err := datapath.SteeringCPUs()
	if err == nil && s != nil && s.Steering.Kernel.CPUs != "" {
		used, err = datapath.ParseCPUList(s.Steering.Kernel.CPUs)
	}
	if err != nil {
		f.OK, f.Detail, f.Advice = !steered(s), err.Error(), "see /sys/devices/system/cpu: falcon must be able to read it"
		return f
	}
	return judgeCPUs(f, used, isolated, steered(s))
}

func judgeCPUs(f datapath.Finding, used, isolated datapath.CPUSet, wanted bool) datapath.Finding {
	f.Detail = fmt.Sprintf("%s (%d)", used, used.Len())
	if !isolated.IsEmpty() {
		f.Detail += fmt.Sprintf("; CPUs %s are isolated and left out", isolated)
	}
	if wanted && used.Len() < 2 {
		f.Advice = "steering has nowhere to send packets to: give it two CPUs or more (--cpus), or turn it off"
	}
	return f
}

// sysctlCore has the settings of the receive path. They are the whole machine's, and some are seen in its first network namespace
// only.
const sysctlCore = "/proc/sys/net/core"

const (
	// defaultBacklog is the kernel's: it fills in 2 ms, before anybody can do anything about it.
	defaultBacklog = 1000
	goodBacklog    = 4096
	// longBacklog, at 5 us a packet, holds packets for longer than the programs think any queue can (quietAfter, 50 ms).
	longBacklog = 10000
)

// examineBacklog judges how many packets can wait for a core. A hop puts each of them there.
func examineBacklog(dir string) datapath.Finding {
	f := datapath.Finding{Check: "backlog", OK: true}
	n, err := readSysctl(dir, "netdev_max_backlog")
	if err != nil {
		f.Detail = "the limit cannot be read here: " + err.Error()
		return f
	}
	f.Detail = fmt.Sprintf("%d packets can wait for a core", n)
	switch {
	case n <= defaultBacklog:
		f.Advice = fmt.Sprintf("bursts of steered packets are dropped beyond it: sysctl -w net.core.netdev_max_backlog=%d", goodBacklog)
		f.Fix = func() error { return raiseSetting(filepath.Join(dir, "netdev_max_backlog"), goodBacklog) }
	case n > longBacklog:
		f.Advice = fmt.Sprintf("packets may wait for so long that a flow which moves is reordered: sysctl -w net.core.netdev_max_backlog=%d", goodBacklog)
	}
	return f
}

// examineNIC warns of RPS at the NIC itself: it spreads packets by the kernel's hash before our first program sees them.
func examineNIC(ctx context.Context, dp *datapath.Datapath, nic string) datapath.Finding {
	f := datapath.Finding{Check: "NIC queues", OK: true}
	q, err := dp.QueueSettings(ctx, nic)
	switch {
	case err != nil:
		f.Detail = "unknown: " + err.Error()
	case q.RPS.IsEmpty():
		f.Detail = nic + " has no RPS of its own"
	default:
		f.Detail = fmt.Sprintf("RPS spreads packets of %s over CPUs %s before falcon sees them", nic, q.RPS)
		f.Advice = fmt.Sprintf("a hop more, which the balancer cannot save: for q in /sys/class/net/%s/queues/rx-*/rps_cpus; do echo 0 > $q; done", nic)
	}
	return f
}

// examineOrder warns of programs that may end a packet's way before ours has seen it.
func examineOrder(ctx context.Context, dp *datapath.Datapath, nic string) datapath.Finding {
	f := datapath.Finding{Check: "NIC programs", OK: true}
	before, err := dp.ProgramsBefore(ctx, nic)
	switch {
	case err != nil:
		f.Detail = "unknown: " + err.Error()
	case len(before) == 0:
		f.Detail = "none comes before falcon's on " + nic
	default:
		f.Detail = fmt.Sprintf("%s on %s comes before falcon's", strings.Join(before, ", "), nic)
		f.Advice = "packets that it takes are not steered: attach it again after falcon's, or see whether it lets them pass"
	}
	return f
}

// examineRFS warns of flow tables at our devices: they make the kernel prefer the core of the application to the one that the hash
// selects (get_rps_cpu in net/core/dev.c).
func examineRFS(ctx context.Context, dp *datapath.Datapath, dir string, devices []string) datapath.Finding {
	f := datapath.Finding{Check: "RFS", OK: true, Detail: "does not override where packets are steered to"}
	if n, err := readSysctl(dir, "rps_sock_flow_entries"); err != nil || n == 0 {
		return f
	}
	var with []string
	for _, device := range devices {
		if q, err := dp.QueueSettings(ctx, device); err == nil && q.Flows > 0 {
			with = append(with, device)
		}
	}
	if len(with) > 0 {
		f.Detail = "overrides where packets are steered to at " + strings.Join(with, ", ")
		f.Advice = fmt.Sprintf("echo 0 > /sys/class/net/%s/queues/rx-0/rps_flow_cnt, and keep what sets it off devices fvx-*", with[0])
		f.Fix = func() error {
			var errs []error
			for _, device := range with { // a vxlan device has one queue
				errs = append(errs, writeSetting("/sys/class/net/"+device+"/queues/rx-0/rps_flow_cnt", 0))
			}
			return errors.Join(errs...)
		}
	}
	return f
}

// raiseSetting makes a number of the kernel's at least so large.
func raiseSetting(path string, n int) error {
	if have, err := readSysctl(filepath.Split(path)); err != nil || have >= n {
		return err
	}
	return writeSetting(path, n)
}

// writeSetting changes a number of the kernel's.
func writeSetting(path string, n int) error {
	return os.WriteFile(path, []byte(strconv.Itoa(n)), 0o644)
}

func readSysctl(dir, name string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}
