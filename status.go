package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"falcon/driver"
)

// apiTimeout bounds a call of the daemon's API.
const apiTimeout = 10 * time.Second

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
	socket := filepath.Join(runDir, driver.APISocket)
	client := http.Client{Timeout: apiTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	var s driver.Status
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://falcon"+driver.StatusPath, http.NoBody)
	if err != nil {
		return nil, s, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, s, fmt.Errorf("ask the daemon at %s: %w: is `falcon serve` running, with this --run-dir?", socket, errors.Unwrap(err))
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, s, fmt.Errorf("read the daemon's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, s, fmt.Errorf("ask the daemon at %s: %s", socket, res.Status)
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
	fmt.Fprintf(w, "steering\t%s, shortcut %s, split %s\n", s.Steering.Mode, s.Steering.Shortcut, s.Steering.Split)
	fmt.Fprintln(w)
	for _, n := range s.Networks {
		printNetwork(w, n)
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

func printNetwork(w io.Writer, n driver.NetworkStatus) {
	fmt.Fprintf(w, "network %s (Docker %.12s)\n", n.Name, n.DockerID)
	subnets := make([]string, len(n.Subnets))
	for i, subnet := range n.Subnets {
		subnets[i] = subnet.String()
	}
	fmt.Fprintf(w, "  VNI %d, MTU %d, %s%s\n", n.VNI, n.MTU, strings.Join(subnets, " "), internal(n.Internal))
	fmt.Fprintf(w, "  devices %s %s, hosts %s\n", n.Bridge, n.VXLAN, strings.Join(n.Hosts, " "))
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

func internal(is bool) string {
	if is {
		return ", internal"
	}
	return ""
}

func answers(alive bool) string {
	if alive {
		return "answers"
	}
	return "does not answer"
}
