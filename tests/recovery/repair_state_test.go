package recovery

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"

	"falcon/datapath"
	"falcon/tests/lab"
)

// stateOf describes all that falcon answers for on the first host of a pair: its devices and entries, its rules,
// and what its container has inside.
func (o overlay) stateOf(p pair) ([]string, error) {
	var lines []string
	for _, part := range []func() ([]string, error){
		func() ([]string, error) { return o.kernel(p.hostA) },
		func() ([]string, error) { return o.rules(p.hostA) },
		func() ([]string, error) { return o.inside(p.hostA, p.a) },
	} {
		l, err := part()
		if err != nil {
			return nil, err
		}
		lines = append(lines, l...)
	}
	return lines, nil
}

// rules says whether falcon's netfilter rules are in place. Those of others are none of its business.
func (o overlay) rules(h *lab.Host) ([]string, error) {
	out, err := h.Exec(o.ctx, "iptables", "--list-rules", "FORWARD")
	if err != nil {
		return nil, err
	}
	var lines []string
	chain := strings.Split(out, "\n")[1:] // after its policy
	for i, rule := range chain {
		if rule == "-A FORWARD -i fbr-+ -o fbr-+ -j ACCEPT" {
			lines = append(lines, fmt.Sprintf("FORWARD has our rule at %d", i))
		}
	}
	err = o.netfilter(h, func(c *nftables.Conn) error {
		rules, err := c.GetRules(&ownTable, &nftables.Chain{Name: "overlay", Table: &ownTable})
		lines = append(lines, fmt.Sprintf("table falcon has %d rules (%v)", len(rules), err))
		return nil
	})
	return lines, err
}

var ownTable = nftables.Table{Name: "falcon", Family: nftables.TableFamilyINet}

// netfilter gives a connection to a host's netfilter: the nft command need not be there.
func (o overlay) netfilter(h *lab.Host, do func(*nftables.Conn) error) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.Plugin.Pid()))
	if err != nil {
		return err
	}
	defer ns.Close()
	return do(&nftables.Conn{NetNS: int(ns.Fd())})
}

// deleteTable deletes falcon's own table.
func (o overlay) deleteTable(h *lab.Host) {
	o.t.Helper()
	o.check(o.netfilter(h, func(c *nftables.Conn) error {
		c.DelTable(&ownTable)
		return c.Flush()
	}))
}

// inside describes a container's side of network 1.
func (o overlay) inside(h *lab.Host, c lab.Container) ([]string, error) {
	pid, err := c.Inspect(o.ctx, "{{.State.Pid}}")
	if err != nil {
		return nil, err
	}
	enter := []string{"nsenter", "--net=/proc/" + pid + "/ns/net", "ip", "-json"}
	type link struct {
		Ifname, Address string
		MTU             int
		Flags           []string
		Addresses       []struct {
			Local     string
			Prefixlen int
		} `json:"addr_info"`
	}
	links, err := query[link](o, h, append(enter, "address", "show", "eth0")...)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range links {
		lines = append(lines, fmt.Sprintf("inside %s %s mtu=%d up=%t", l.Ifname, l.Address, l.MTU, slices.Contains(l.Flags, "UP")))
		for _, a := range l.Addresses {
			lines = append(lines, fmt.Sprintf("inside %s has %s/%d", l.Ifname, a.Local, a.Prefixlen))
		}
	}
	for _, family := range []string{"-4", "-6"} {
		type route struct{ Dst, Dev, Gateway string }
		routes, err := query[route](o, h, append(enter, family, "route", "show")...)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			lines = append(lines, fmt.Sprintf("inside route %+v", r))
		}
	}
	return lines, nil
}

// variables are a shell's, for the scripts of damages.
func (o overlay) variables(p pair) string {
	in, err := o.intent()
	o.check(err)
	vni := datapath.VNI(in.networks[networkName(1)].VNI)
	v := map[string]string{
		"br": datapath.BridgeDevice(vni), "vx": datapath.VXLANDevice(vni), "host": p.hostB.Addr.String(),
		"ip_near": p.toA, "ip_far": p.toB, "pid": o.must(p.a.Inspect(o.ctx, "{{.State.Pid}}")),
	}
	for _, e := range in.endpoints {
		if e.Host == in.idOf(p.hostA.Name) {
			v["near"], v["port"] = e.MAC, datapath.HostDevice(e.ID)
		} else {
			v["far"] = e.MAC
		}
	}
	var b strings.Builder
	for name, value := range v {
		b.WriteString(name + "=" + strconv.Quote(value) + "\n")
	}
	return b.String()
}
