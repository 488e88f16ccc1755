package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"falcon/tests/bench/report"
	"falcon/tests/lab"
)

// control measures the control plane, by the plugin's own protocol and without an engine, whose part would be
// most of it: how long CreateEndpoint and Join take with few and many endpoints on the host, how long until the
// other host's devices know the endpoint, how long a start takes, and how much memory it needs.
func control(ctx context.Context, quick bool, r *report.Report) error {
	most := 1000
	if quick {
		most = 100
	}
	for _, store := range []string{"bolt", "etcd"} {
		if err := controlOn(ctx, store, most, r); err != nil {
			return fmt.Errorf("on %s: %w", store, err)
		}
	}
	return binarySize(r)
}

// samples is how many endpoints are timed at each number of endpoints.
const samples = 50

// bed is a network on both hosts (on one, with bolt) and what was measured on it.
type bed struct {
	hosts   []*lab.Host
	plugins []plugin
	subject string
	report  *report.Report
	made    int
	spaces  int // namespaces that stand for containers, on the first host
}

const (
	benchNetwork = "bench"
	benchDocker  = "benchbenchbenchbenchbenchbenchbenchbenchbenchbenchbenchbenchbench"
	benchSubnet  = "10.200.0.0/16"
)

func controlOn(ctx context.Context, store string, most int, r *report.Report) (failure error) {
	hosts := map[string]int{"bolt": 1, "etcd": 2}[store]
	l, err := lab.Start(ctx, lab.Options{Hosts: hosts, Etcd: store == "etcd", Falcon: &lab.FalconOptions{}})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, l.Close()) }()
	b := &bed{hosts: l.Hosts, subject: "falcon, " + store, report: r}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, at := range []int{5, most / 2, most} {
		if err := b.fill(ctx, at); err != nil {
			return err
		}
		fmt.Printf("  %s: %d endpoints\n", store, at)
		if err := b.timeEndpoints(ctx, at); err != nil {
			return err
		}
		if hosts > 1 {
			if err := b.timePropagation(ctx, at); err != nil {
				return err
			}
		}
		if err := b.memory(ctx, at); err != nil {
			return err
		}
		if err := b.timeStart(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// prepare creates the network on every host.
func (b *bed) prepare(ctx context.Context) error {
	for _, h := range b.hosts {
		p := newPlugin(h)
		b.plugins = append(b.plugins, p)
		if err := p.call(ctx, "NetworkDriver.CreateNetwork", map[string]any{
			"NetworkID": benchDocker, "IPv4Data": []any{map[string]any{"AddressSpace": "LocalDefault", "Pool": benchSubnet}},
			"Options": map[string]any{"com.docker.network.generic": map[string]any{"falcon.network": benchNetwork}},
		}, nil); err != nil {
			return err
		}
	}
	return nil
}

// containers makes sure that there are so many namespaces to stand for containers.
func (b *bed) containers(ctx context.Context, count int) error {
	if count <= b.spaces {
		return nil
	}
	script := fmt.Sprintf("for i in $(seq %d %d); do ip netns add c$i || exit; done", b.spaces+1, count)
	b.spaces = count
	_, err := b.hosts[0].Exec(ctx, "sh", "-c", script)
	return err
}

// create makes the next endpoint on the first host and returns its MAC and how long both calls took.
func (b *bed) create(ctx context.Context) (id, mac string, took time.Duration, err error) {
	b.made++
	id = fmt.Sprintf("%064x", b.made)
	// The number comes first: device names are made of an ID's first digits.
	id = id[52:] + id[:52]
	address := fmt.Sprintf("10.200.%d.%d/16", b.made/250, b.made%250+2)
	var answer struct{ Interface struct{ MacAddress string } }
	began := time.Now()
	err = b.plugins[0].call(ctx, "NetworkDriver.CreateEndpoint", map[string]any{
		"NetworkID": benchDocker, "EndpointID": id, "Interface": map[string]any{"Address": address},
	}, &answer)
	if err == nil {
		err = b.plugins[0].call(ctx, "NetworkDriver.Join", map[string]any{
			"NetworkID": benchDocker, "EndpointID": id, "SandboxKey": fmt.Sprintf("/run/netns/c%d", b.made),
		}, nil)
	}
	return id, answer.Interface.MacAddress, time.Since(began), err
}

// remove deletes an endpoint of the first host.
func (b *bed) remove(ctx context.Context, id string) error {
	return b.plugins[0].call(ctx, "NetworkDriver.DeleteEndpoint", map[string]any{"NetworkID": benchDocker, "EndpointID": id}, nil)
}

// fill makes endpoints until there are so many.
func (b *bed) fill(ctx context.Context, to int) error {
	if err := b.containers(ctx, to+samples); err != nil {
		return err
	}
	for b.made < to {
		if _, _, _, err := b.create(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bed) note(at int, metric, unit string, sample float64) {
	b.report.Add(report.Key{Experiment: "control", Subject: b.subject, Parameter: fmt.Sprintf("%d endpoints", at), Metric: metric, Unit: unit}, 0, sample)
}

// timeEndpoints creates endpoints one by one; each is removed again, so that their number stays.
func (b *bed) timeEndpoints(ctx context.Context, at int) error {
	for range samples {
		id, _, took, err := b.create(ctx)
		if err != nil {
			return err
		}
		b.note(at, "CreateEndpoint + Join", "ms", millis(took))
		began := time.Now()
		if err := b.remove(ctx, id); err != nil {
			return err
		}
		b.note(at, "DeleteEndpoint", "ms", millis(time.Since(began)))
	}
	b.made -= samples
	return nil
}

// timePropagation measures from the return of Join until the other host's VXLAN device has the endpoint's entry, as the
// kernel there announces it. Zero: it was there before Join returned, since CreateEndpoint told of it.
func (b *bed) timePropagation(ctx context.Context, at int) error {
	seen, stop, err := watchEntries(b.hosts[1])
	if err != nil {
		return err
	}
	defer stop()
	for range samples {
		id, mac, _, err := b.create(ctx)
		if err != nil {
			return err
		}
		joined := time.Now()
		arrived, err := awaitEntry(ctx, seen, mac)
		if err != nil {
			return err
		}
		b.note(at, "entry on the other host after Join", "ms", max(0, millis(arrived.Sub(joined))))
		if err := b.remove(ctx, id); err != nil {
			return err
		}
	}
	b.made -= samples
	return nil
}

// entry is a forwarding entry that came, and when.
type entry struct {
	mac string
	at  time.Time
}

// watchEntries subscribes to the neighbour and forwarding tables of a host.
func watchEntries(h *lab.Host) (<-chan entry, func(), error) {
	ns, err := netns.GetFromPid(h.Plugin.Pid())
	if err != nil {
		return nil, nil, fmt.Errorf("open namespace of %s: %w", h.Name, err)
	}
	updates, done, seen := make(chan netlink.NeighUpdate, 4096), make(chan struct{}), make(chan entry, 4096)
	if err := netlink.NeighSubscribeAt(ns, updates, done); err != nil {
		return nil, nil, errors.Join(err, ns.Close())
	}
	go func() {
		for u := range updates {
			if u.Type == unix.RTM_NEWNEIGH && u.Family == unix.AF_BRIDGE && u.Flags&unix.NTF_SELF != 0 {
				seen <- entry{u.HardwareAddr.String(), time.Now()}
			}
		}
	}()
	return seen, func() { close(done); ns.Close() }, nil
}

func awaitEntry(ctx context.Context, seen <-chan entry, mac string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		select {
		case e := <-seen:
			if e.mac == mac {
				return e.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for the entry of %s: %w", mac, ctx.Err())
		}
	}
}

// memory notes the daemon's resident memory.
func (b *bed) memory(_ context.Context, at int) error {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(b.hosts[0].Plugin.Pid()), "status"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				return err
			}
			b.note(at, "resident memory", "MB", float64(kib)*1024/1e6)
		}
	}
	return nil
}

// timeStart restarts the daemon, first with its devices there, then with all of them gone as after a reboot, until the
// store has been read and the kernel follows it.
func (b *bed) timeStart(ctx context.Context, at int) error {
	h := b.hosts[0]
	for _, c := range []struct {
		metric string
		wipe   bool
	}{{"start, devices there", false}, {"start, devices to restore", true}} {
		if err := h.Plugin.Stop(ctx); err != nil {
			return err
		}
		if c.wipe {
			if err := wipe(ctx, h); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := h.Plugin.Start(ctx); err != nil {
			return err
		}
		if err := lab.Poll(ctx, func(ctx context.Context) error { return settled(ctx, h) }); err != nil {
			return err
		}
		b.note(at, c.metric, "s", time.Since(began).Seconds())
	}
	return nil
}

// settled tells whether the daemon has read the store and brought the kernel in line.
func settled(ctx context.Context, h *lab.Host) error {
	raw, err := h.Falcon(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var status struct{ Ready bool }
	if err := json.Unmarshal([]byte(raw), &status); err != nil {
		return err
	}
	if !status.Ready {
		return errors.New("not ready yet")
	}
	return nil
}

// wipe deletes all devices of falcon's on a host.
func wipe(ctx context.Context, h *lab.Host) error {
	_, err := h.Exec(ctx, "sh", "-c", `for d in $(ls /sys/class/net); do case $d in fbr-*|fvx-*|fp-*) ip link del "$d";; esac; done`)
	return err
}

func binarySize(r *report.Report) error {
	info, err := os.Stat("bin/falcon")
	if err != nil {
		return err
	}
	r.Add(report.Key{Experiment: "control", Subject: "falcon", Parameter: "binary", Metric: "size", Unit: "MB"}, 0, float64(info.Size())/1e6)
	return nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
