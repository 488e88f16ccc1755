package datapath

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netns"
)

// Probe tries on this kernel all that the datapath needs, in a network namespace that is thrown away, and looks
// whether rules of this host are in the way. It changes nothing on the host.
func (d *Datapath) Probe(ctx context.Context) []Finding {
	findings := probeKernel(ctx)
	err := d.inHost(ctx, checkLegacyTables)
	return append(findings, finding("host's netfilter", err, "run the command above, and keep it for the next boot"))
}

func finding(check string, err error, advice string) Finding {
	if err != nil {
		return Finding{Check: check, Detail: err.Error(), Advice: advice}
	}
	return Finding{Check: check, OK: true}
}

func probeKernel(ctx context.Context) []Finding {
	var findings []Finding
	err := inScratch(func(p *Datapath) error {
		for _, t := range trials() {
			findings = append(findings, finding(t.check, t.try(ctx, p), t.advice))
		}
		return nil
	})
	if err != nil {
		findings = append(findings, finding("network namespace", err, needPrivilege))
	}
	return findings
}

const needPrivilege = "run as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN"

// inScratch runs f with a Datapath in a network namespace that is thrown away.
func inScratch(f func(p *Datapath) error) error {
	ns, err := scratchNetns()
	if err != nil {
		return err
	}
	defer ns.Close()
	p, err := Open(Config{Netns: fmt.Sprintf("/proc/self/fd/%d", int(ns))})
	if err != nil {
		return err
	}
	p.steer.adopted, p.short.adopted = true, true // what a daemon has pinned is not this namespace's
	return errors.Join(f(p), p.Close())
}

// scratchNetns makes a network namespace that lives as long as its handle.
func scratchNetns() (netns.NsHandle, error) {
	type result struct {
		ns  netns.NsHandle
		err error
	}
	made := make(chan result, 1)
	go func() {
		// Never unlocked: the thread is in the new namespace and ends with this goroutine.
		runtime.LockOSThread()
		ns, err := netns.New()
		if err != nil {
			err = fmt.Errorf("create network namespace: %w", err)
		}
		made <- result{ns, err}
	}()
	r := <-made
	return r.ns, r.err
}

// trial is one thing that is tried. They build on each other, so the first that fails is the one to look at.
type trial struct {
	check  string
	try    func(ctx context.Context, p *Datapath) error
	advice string
}

func trials() []trial {
	var (
		v4   = Network{Name: "probe", VNI: 1, MTU: 1400, Local: netip.MustParseAddr("192.0.2.1"), Port: 4789}
		v6   = Network{Name: "probe6", VNI: 2, MTU: 1400, Local: netip.MustParseAddr("2001:db8::1"), Port: 4789}
		e    = Endpoint{ID: "probe", Network: v4.Name, VNI: v4.VNI, MTU: v4.MTU, MAC: MAC{2, 0, 0, 0, 0, 1}}
		ping = Remote{MAC: MAC{2, 0, 0, 0, 0, 2}, Host: netip.MustParseAddr("192.0.2.2")}
	)
	return []trial{
		{"bridge", func(ctx context.Context, p *Datapath) error {
			want := wantBridge(v4, tag{network: v4.Name, vni: v4.VNI}.String())
			_, err := p.rt.make(ctx, want, want.bridge.encode())
			return err
		}, "load the kernel module bridge (CONFIG_BRIDGE)"},
		{"guard program", func(ctx context.Context, p *Datapath) error {
			br, err := p.ownBridge(ctx, v4.VNI)
			if err != nil {
				return err
			}
			_, err = p.ensureGuard(ctx, br)
			return err
		}, "needs CAP_BPF, CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS"},
		{"vxlan", func(ctx context.Context, p *Datapath) error {
			_, err := p.EnsureNetwork(ctx, v4)
			return err
		}, "load the kernel module vxlan (CONFIG_VXLAN); the bridge must have neigh_suppress (kernel 4.15)"},
		{"vxlan over IPv6", func(ctx context.Context, p *Datapath) error {
			_, err := p.EnsureNetwork(ctx, v6)
			return err
		}, "needed for an IPv6 underlay only: boot without ipv6.disable=1"},
		{"veth", func(ctx context.Context, p *Datapath) error {
			_, err := p.EnsureEndpoint(ctx, e)
			return err
		}, "load the kernel module veth (CONFIG_VETH)"},
		{"forwarding", func(ctx context.Context, p *Datapath) error {
			ping.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}
			return errors.Join(p.AddRemote(ctx, v4, ping), p.AddFlood(ctx, v4, ping.Host), idle(ctx, p, v4, e, ping))
		}, "addresses of IPv6 subnets need a kernel with IPv6: boot without ipv6.disable=1"},
		{"netfilter", func(ctx context.Context, p *Datapath) error {
			_, err := p.EnsureHost(ctx)
			return err
		}, "load nf_tables (CONFIG_NF_TABLES_INET, CONFIG_NFT_CT); without it, containers of a host that filters bridged packets (net.bridge.bridge-nf-call-iptables) may not reach each other"},
	}
}

// idle checks that the kernel lists what was added to it as we read it.
func idle(ctx context.Context, p *Datapath, n Network, e Endpoint, r Remote) error {
	f := Forwarding{
		Local:  map[string]Endpoint{e.ID: e},
		Remote: map[string]Remote{"remote": r},
		Flood:  []netip.Addr{r.Host},
	}
	c, err := p.SyncForwarding(ctx, n, f)
	if err == nil && c != (Change{}) {
		err = fmt.Errorf("kernel lists other entries than were added: %+v", c)
	}
	return err
}
