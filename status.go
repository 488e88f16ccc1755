package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"falcon/driver"
)

func statusCommand() *cobra.Command {
	var runDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show networks, endpoints, peers, and what is degraded and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, s, err := fetchStatus(cmd.Context(), runDir)
			if err != nil {
				return err
			}
			if asJSON {
				_, err := cmd.OutOrStdout().Write(raw)
				return err
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "directory of the API socket")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	fromEnvironment(cmd)
	return cmd
}

// fetchStatus asks the daemon of this host.
func fetchStatus(ctx context.Context, runDir string) ([]byte, driver.Status, error) {
	var s driver.Status
	raw, err := callAPI(ctx, runDir, http.MethodGet, driver.StatusPath, nil)
	if err != nil {
		return nil, s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, s, fmt.Errorf("read the daemon's answer: %w: are both of one version?", err)
	}
	return raw, s, nil
}

// printStatus writes a status for people.
func printStatus(out io.Writer, s driver.Status) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	u := s.Host.Underlay
	fmt.Fprintf(w, "falcon %s on %s (host %s)\n", s.Version, s.Host.Name, s.Host.ID)
	fmt.Fprintf(w, "underlay\t%s on %s, MTU %d, vxlan port %d\n", u.Address, u.Interface, u.MTU, s.Host.Port)
	fmt.Fprintf(w, "store\t%s %s, revision %d\n", s.Store.Kind, s.Store.Where, s.Store.Revision)
	printSteering(w, s.Steering)
	fmt.Fprintln(w)
	for _, n := range s.Networks {
		printNetwork(w, n, s.Steering.Mode)
	}
	if len(s.Networks) == 0 {
		fmt.Fprintln(w, "no networks: docker network create -d falcon NAME")
	}
	if len(s.Peers) > 0 {
		fmt.Fprintln(w, "PEER\tUNDERLAY\tNETWORKS\tFALCON")
		for _, p := range s.Peers {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", p.Name, p.Underlay, p.Networks, answers(p.Alive))
		}
		fmt.Fprintln(w)
	}
	for _, g := range s.Degraded {
		fmt.Fprintf(w, "DEGRADED %s: %s\n", g.What, g.Why)
	}
	if len(s.Degraded) == 0 {
		fmt.Fprintln(w, "nothing is degraded")
	}
	return w.Flush()
}

// printSteering tells what is set, what comes of it and, once a network has been steered, what was done.
func printSteering(w io.Writer, s driver.SteeringStatus) {
	fmt.Fprintf(w, "steering\t%s, shortcut %s, split %s\n", s.Mode, s.Shortcut, splitLabel(s))
	if s.Experiment != "" {
		fmt.Fprintf(w, "\tEXPERIMENT: %s on all networks of this host; `falcon top`, key r, ends it\n", s.Experiment)
	}
	k := s.Kernel
	if k.CPUs != "" {
		fmt.Fprintf(w, "\tCPUs %s, hooks %s; %s\n", k.CPUs, k.Hooks, k.Reason)
	}
	if k.Split != nil {
		fmt.Fprintf(w, "\tsplit at %s: frames wait for CPUs %s, %d for each at most\n", k.Split.Device, k.Split.CPUs, k.Split.Queue)
	}
	if len(k.Cores) > 0 {
		total := countsOf(k.Cores)
		fmt.Fprintf(w, "\t%d hops, %d migrations of flows, %d packets held for their order, %d of no flow\n",
			total.Hops, total.Migrations, total.Held, total.Missed)
	}
}

func printNetwork(w io.Writer, n driver.NetworkStatus, daemon string) {
	fmt.Fprintf(w, "network %s (Docker %.12s)\n", n.Name, n.DockerID)
	subnets := make([]string, len(n.Subnets))
	for i, subnet := range n.Subnets {
		subnets[i] = subnet.String()
	}
	fmt.Fprintf(w, "  VNI %d, MTU %d, %s%s\n", n.VNI, n.MTU,
		strings.Join(subnets, " "), internal(n.Internal)+steeredApart(n.Steering, daemon))
	fmt.Fprintf(w, "  devices %s %s, hosts %s\n", n.Bridge, n.VXLAN, strings.Join(n.Hosts, " "))
	printShortcut(w, n.Shortcut)
	fmt.Fprintf(w, "  endpoints: %d here, %d on other hosts\n", len(n.Endpoints), n.Remote)
	for _, e := range n.Endpoints {
		addresses := make([]string, len(e.Addresses))
		for i, a := range e.Addresses {
			addresses[i] = a.Addr().String()
		}
		fmt.Fprintf(w, "  %.12s\t%s\t%s\t%s\n", e.ID, strings.Join(addresses, " "), e.MAC, e.Device)
	}
	fmt.Fprintln(w)
}

// printShortcut tells which way packets went. The names say why they went the kernel's way, or no further.
func printShortcut(w io.Writer, s driver.ShortcutStatus) {
	switch {
	case s.Mode == driver.ShortcutOff:
		return
	case s.Why != "":
		fmt.Fprintf(w, "  not on the shortcut: %s\n", s.Why)
	case !s.Active:
		fmt.Fprintln(w, "  not on the shortcut yet")
	}
	ways := make([]string, 0, len(s.Ways))
	for _, way := range slices.Sorted(maps.Keys(s.Ways)) {
		ways = append(ways, fmt.Sprintf("%s %d", way, s.Ways[way].Packets))
	}
	if len(ways) > 0 {
		fmt.Fprintf(w, "  shortcut: packets %s\n", strings.Join(ways, ", "))
	}
}

func internal(is bool) string {
	if is {
		return ", internal"
	}
	return ""
}

// steeredApart tells of a network that is not steered as the daemon is set.
func steeredApart(mode, daemon string) string {
	if mode == daemon {
		return ""
	}
	return ", steering " + mode
}

func answers(alive bool) string {
	if alive {
		return "answers"
	}
	return "does not answer"
}
