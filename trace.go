package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"falcon/datapath"
	"falcon/driver"
)

// tracing is `falcon trace`.
type tracing struct {
	runDir string
	length time.Duration
	match  traceMatch
	asJSON bool
}

// traceMatch picks flows; what is not set matches all.
type traceMatch struct {
	address string
	port    uint16
}

func traceCommand() *cobra.Command {
	var t tracing
	cmd := &cobra.Command{
		Use:   "trace NETWORK",
		Short: "Show which way the packets of a network's flows go, and why",
		Long: `Show which way the packets of a network's flows go on this host, and why, for some seconds. NETWORK is its falcon.network, or what
Docker calls it.

A packet takes the shortcut, or goes the kernel's way (the network's vxlan device and bridge), or is dropped.`,
		Example: "  falcon trace web\n  falcon trace web --for 30s --address 10.0.0.2 --port 80",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.runDir, "run-dir", defaultRunDir, "directory of the API socket")
	f.DurationVar(&t.length, "for", 5*time.Second, "how long to look, at most "+driver.MaxTrace.String())
	f.StringVar(&t.match.address, "address", "", "only flows from or to this address")
	f.Uint16Var(&t.match.port, "port", 0, "only flows from or to this port")
	f.BoolVar(&t.asJSON, "json", false, "print JSON")
	fromEnvironment(cmd)
	return cmd
}

// run looks until the time is over or ctx ends, and prints what there was.
func (t tracing) run(ctx context.Context, network string, out io.Writer) error {
	if t.length < time.Second || t.length > driver.MaxTrace {
		return flagError("for", t.length.String(), "must be from 1s to "+driver.MaxTrace.String())
	}
	if t.match.address != "" {
		a, err := netip.ParseAddr(t.match.address)
		if err != nil {
			return flagError("address", t.match.address, "must be an IP address")
		}
		t.match.address = a.Unmap().String()
	}
	// The daemon stops a little later by itself.
	body, err := json.Marshal(driver.TraceRequest{Network: network, Seconds: min(int(t.length/time.Second)+1, int(driver.MaxTrace/time.Second))})
	if err != nil {
		return err
	}
	if _, err := callAPI(ctx, t.runDir, http.MethodPut, driver.TracePath, body); err != nil {
		return err
	}
	rest(ctx, t.length)
	ctx = context.WithoutCancel(ctx)
	raw, err := callAPI(ctx, t.runDir, http.MethodGet, driver.TracePath, nil)
	if _, end := callAPI(ctx, t.runDir, http.MethodDelete, driver.TracePath, nil); err == nil {
		err = end
	}
	if err != nil {
		return err
	}
	var trace datapath.Trace
	if err := json.Unmarshal(raw, &trace); err != nil {
		return fmt.Errorf("read the daemon's answer: %w: are both of one version?", err)
	}
	trace.Flows = slices.DeleteFunc(trace.Flows, func(f datapath.TracedFlow) bool { return !t.match.has(f) })
	if t.asJSON {
		return json.NewEncoder(out).Encode(trace)
	}
	return printTrace(out, trace)
}

func (m traceMatch) has(f datapath.TracedFlow) bool {
	return (m.address == "" || f.Source.String() == m.address || f.Target.String() == m.address) &&
		(m.port == 0 || f.SourcePort == m.port || f.TargetPort == m.port)
}

// printTrace lists flows, those with the most packets first, and explains the ways that they went.
func printTrace(out io.Writer, trace datapath.Trace) error {
	if len(trace.Flows) == 0 && trace.Lost == 0 {
		_, err := fmt.Fprintln(out, "no packets")
		return err
	}
	slices.SortFunc(trace.Flows, func(a, b datapath.TracedFlow) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), a.Source.Compare(b.Source), a.Target.Compare(b.Target), strings.Compare(a.Way, b.Way))
	})
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PROTOCOL\tFROM\tTO\tPACKETS\tBYTES\tWAY")
	seen := map[string]bool{}
	for _, f := range trace.Flows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", f.Protocol, place(f.Source, f.SourcePort), place(f.Target, f.TargetPort), f.Packets, f.Bytes, f.Way)
		seen[f.Way] = true
	}
	if trace.Lost > 0 {
		fmt.Fprintf(w, "and %d packets of flows for which there was no room\n", trace.Lost)
	}
	fmt.Fprintln(w)
	for _, way := range datapath.Ways() {
		if seen[way] {
			fmt.Fprintf(w, "%s\t%s\n", way, whyWays[way])
		}
	}
	return w.Flush()
}

func place(a netip.Addr, port uint16) string {
	switch {
	case a.IsUnspecified() && port == 0:
		return "-"
	case port == 0:
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// whyWays explains what falcon status and falcon trace call the ways of packets.
var whyWays = map[string]string{
	"in":               "shortcut: from another host to a container",
	"out":              "shortcut: from a container to another host",
	"local":            "shortcut: from one container to another of this host",
	"kernel_group":     "kernel's way: broadcast or multicast, which is for several",
	"kernel_unknown":   "kernel's way: its MAC or address is of no endpoint that is known, or the network is off the shortcut (falcon status)",
	"kernel_kind":      "kernel's way: ARP, neighbour discovery, IP options or extension headers, or not IP",
	"kernel_header":    "kernel's way: fragments, options or unknown VXLAN flags in its outer headers",
	"kernel_size":      "kernel's way: too long for the path, so that its sender is told",
	"kernel_refused":   "kernel's way: the kernel could not take the outer headers off, or put them on",
	"kernel_malformed": "kernel's way: its headers contradict one another or end early",
	"dropped_host":     "dropped: it comes from a host that is none of the network's",
	"dropped_mac":      "dropped: the container sent from another MAC than its own",
	"dropped_address":  "dropped: the container sent from an address that is not its own (falcon.allowed-addresses)",
	"dropped_tagged":   "dropped: the container sent it with a VLAN tag",
	"dropped_router":   "dropped: the container said that it is a router",
}
