package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"falcon/datapath"
	"falcon/driver"
)

// errUnhealthy is the exit status of a doctor that found something.
var errUnhealthy = errors.New("something will not work: see FAIL above")

func doctorCommand() *cobra.Command {
	var runDir, underlay string
	var port uint16
	var asJSON, fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host and say what to do; exit status 1 when something would not work",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := examine(cmd.Context(), runDir, underlay, port)
			if fix && repair(cmd.ErrOrStderr(), findings) > 0 {
				findings = examine(cmd.Context(), runDir, underlay, port)
			}
			if asJSON {
				return reportJSON(cmd.OutOrStdout(), findings)
			}
			return report(cmd.OutOrStdout(), findings)
		},
	}
	cmd.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "directory of the daemon's API socket")
	cmd.Flags().StringVar(&underlay, "underlay", "", "interface or address to check (default: the daemon's, or the default route's)")
	cmd.Flags().Uint16Var(&port, "vxlan-port", defaultVXLANPort, "UDP port to check; the daemon's if it runs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().BoolVar(&fix, "fix", false, "do what is safe to do about the findings, until the next boot: mount a bpffs, raise limits of the kernel's that are too low")
	fromEnvironment(cmd)
	return cmd
}

// repair fixes what can be fixed, says so, and tells how much that was.
func repair(out io.Writer, findings []datapath.Finding) (fixed int) {
	for _, f := range findings {
		if f.Fix == nil || f.Advice == "" {
			continue
		}
		if err := f.Fix(); err != nil {
			fmt.Fprintf(out, "%s: not fixed: %v\n", f.Check, err)
			continue
		}
		fmt.Fprintf(out, "%s: fixed until the next boot: %s\n", f.Check, f.Advice)
		fixed++
	}
	return fixed
}

// examine makes all checks. What the running daemon uses is checked rather than what it would use by default.
func examine(ctx context.Context, runDir, underlay string, port uint16) []datapath.Finding {
	findings := append([]datapath.Finding{examineKernel()}, probe(ctx)...)
	daemon, status := examineDaemon(ctx, runDir)
	if status != nil {
		port = status.Host.Port
		if underlay == "" {
			underlay = status.Host.Underlay.Address.String()
		}
	}
	findings = append(append(findings, probeSteering(ctx, steered(status))...), probeShortcut(status))
	findings = append(findings, examineHost(ctx, underlay, port, status)...)
	findings = append(findings, examinePaths(ctx, status)...)
	findings = append(findings, examineDrivers(pluginSpecs), examineClock())
	return append(findings, daemon...)
}

// examineKernel warns of a kernel that falcon is not made for.
func examineKernel() datapath.Finding {
	f := datapath.Finding{Check: "kernel", OK: true, Detail: "Linux " + datapath.KernelRelease()}
	if datapath.KernelTooOld() {
		f.Advice = "falcon is made for Linux " + datapath.OldestKernel + " and later: run a newer kernel, or do without what fails below"
	}
	return f
}

// probe tries what the kernel must be able to do.
func probe(ctx context.Context) []datapath.Finding {
	dp, err := openDatapath()
	if err != nil {
		return []datapath.Finding{{Check: "netlink", Detail: err.Error(), Advice: "run as root"}}
	}
	defer dp.Close()
	return dp.Probe(ctx)
}

// openDatapath is for whoever looks, and logs nothing.
func openDatapath() (*datapath.Datapath, error) { return datapath.Open(datapath.Config{}) }

// examineHost looks at what falcon shares with the rest of the host.
func examineHost(ctx context.Context, underlay string, port uint16, status *driver.Status) []datapath.Finding {
	dp, err := openDatapath()
	if err != nil {
		return nil // probe has said so
	}
	defer dp.Close()
	findings, nic := examineUnderlay(ctx, dp, underlay)
	findings = append(findings, examineNeighbours(neighbourLimit))
	findings = append(findings, examineVXLAN(ctx, dp, port, status)...)
	findings = append(findings, examineOrphans(ctx, dp, status))
	return append(findings, examineSteering(ctx, dp, nic, status)...)
}

// examineUnderlay gives the device too.
func examineUnderlay(ctx context.Context, dp *datapath.Datapath, which string) (findings []datapath.Finding, nic string) {
	f := datapath.Finding{Check: "underlay"}
	u, err := dp.Underlay(ctx, which)
	if err != nil {
		f.Detail, f.Advice = err.Error(), "give the interface or address between the hosts with --underlay"
		return []datapath.Finding{f}, ""
	}
	f.Detail = fmt.Sprintf("%s on %s, MTU %d: %d inside containers", u.Address, u.Interface, u.MTU, u.OverlayMTU())
	if f.OK = u.OverlayMTU() >= minOverlayMTU; !f.OK {
		f.Advice = fmt.Sprintf("raise the MTU of %s and of the path between hosts: IPv6 needs %d inside containers", u.Interface, minOverlayMTU)
	}
	return []datapath.Finding{f, examineOffloads(ctx, dp, u.Interface), examineSplit(ctx, dp, u.Interface)}, u.Interface
}

// examineOffloads says what the underlay's device leaves to the CPU. Nothing fails without offloads.
func examineOffloads(ctx context.Context, dp *datapath.Datapath, device string) datapath.Finding {
	f := datapath.Finding{Check: "offloads", OK: true}
	o, err := dp.Offloads(ctx, device)
	switch {
	case err != nil:
		f.Detail = "unknown: " + err.Error()
	case o.Checksum && o.Segmentation:
		f.Detail = device + " computes checksums and segments overlay packets"
	default:
		f.Detail = fmt.Sprintf("%s: checksums %t, segmentation of overlay packets %t", device, o.Checksum, o.Segmentation)
		f.Advice = "slower than it could be; see: ethtool -k " + device
	}
	return f
}

// minOverlayMTU is what IPv6 asks of a link (RFC 8200, section 5).
const minOverlayMTU = 1280

const (
	// neighbourLimit is how many ARP entries the kernel keeps for all network namespaces together, containers
	// included; permanent ones do not count (neighbour.c, gc_entries).
	neighbourLimit = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
	// goodNeighbours is what is advised.
	goodNeighbours     = 4 * fewNeighbours
	ipv6NeighbourLimit = "/proc/sys/net/ipv6/neigh/default/gc_thresh3"
	// fewNeighbours is a limit that some hundred containers with a dozen peers each reach.
	fewNeighbours = 4096
)

// examineNeighbours warns of a limit beyond which packets are lost without a word.
func examineNeighbours(path string) datapath.Finding {
	f := datapath.Finding{Check: "neighbour table", OK: true}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Detail = "the limit cannot be read here: " + err.Error()
		return f
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		f.Detail = fmt.Sprintf("%s is no number: %q", path, raw)
		return f
	}
	f.Detail = fmt.Sprintf("holds %d entries of all containers together", limit)
	if limit < fewNeighbours {
		f.Advice = fmt.Sprintf("with hundreds of containers, packets are lost beyond it: sysctl -w net.ipv4.neigh.default.gc_thresh3=%d (and neigh.default of ipv6)", goodNeighbours)
		f.Fix = func() error {
			return errors.Join(raiseSetting(path, goodNeighbours), raiseSetting(ipv6NeighbourLimit, goodNeighbours))
		}
	}
	return f
}

// examineVXLAN looks for VXLAN devices of others that share the port.
func examineVXLAN(ctx context.Context, dp *datapath.Datapath, port uint16, status *driver.Status) []datapath.Finding {
	f := datapath.Finding{Check: "vxlan port", OK: true, Detail: fmt.Sprintf("UDP %d can be used", port)}
	if err := dp.CheckPort(ctx, port); err != nil {
		f.OK, f.Detail, f.Advice = false, err.Error(), "start falcon with another --vxlan-port on all hosts"
	}
	taken, err := dp.TakenVNIs(ctx, port)
	if err != nil {
		return []datapath.Finding{f, {Check: "VNIs", Detail: err.Error(), Advice: "run it again"}}
	}
	vnis := datapath.Finding{Check: "VNIs", OK: true, Detail: "none of ours is used by another device"}
	if status != nil {
		for _, n := range status.Networks {
			if device, ok := taken[datapath.VNI(n.VNI)]; ok {
				vnis.OK, vnis.Detail = false, fmt.Sprintf("network %s has VNI %d, and so has device %s of somebody else", n.Name, n.VNI, device)
				vnis.Advice = "remove that device, or create the network again with another -o falcon.vni"
			}
		}
	}
	return []datapath.Finding{f, vnis}
}

// examineDaemon asks the running daemon what it suffers from. None running is no failure: it may be about to be
// installed.
func examineDaemon(ctx context.Context, runDir string) ([]datapath.Finding, *driver.Status) {
	_, s, err := fetchStatus(ctx, runDir)
	if err != nil {
		return []datapath.Finding{{Check: "daemon", OK: true, Detail: "not running (" + err.Error() + ")"}}, nil
	}
	running := datapath.Finding{Check: "daemon", OK: s.Ready, Detail: "version " + s.Version}
	if !running.OK {
		running.Advice = "it has not read the store yet: see below"
	}
	findings := []datapath.Finding{running}
	intent := datapath.Finding{Check: "store", OK: s.Store.Error == "", Detail: s.Store.Kind + " " + s.Store.Where}
	if !intent.OK {
		intent.Detail += ": " + s.Store.Error
		intent.Advice = "traffic flows on; bring the store back, or correct --store"
	}
	findings = append(findings, intent)
	for _, d := range s.Degraded {
		if d.What != "store" {
			findings = append(findings, datapath.Finding{Check: d.What, Detail: d.Why, Advice: adviceOn(d.What)})
		}
	}
	return findings, &s
}

// adviceOn says what to do about something that is degraded, where its reason does not.
func adviceOn(what string) string {
	if strings.HasPrefix(what, "steering: ") {
		return "traffic flows on, on the cores where it comes in; falcon tries again by itself: see steering and bpffs above"
	}
	return ""
}

// report prints the findings and fails if one of them is bad.
func report(out io.Writer, findings []datapath.Finding) error {
	var failure error
	for _, f := range findings {
		verdict := "ok"
		switch {
		case !f.OK:
			verdict, failure = "FAIL", errUnhealthy
		case f.Advice != "":
			verdict = "note"
		}
		fmt.Fprintf(out, "%-4s  %-17s  %s\n", verdict, f.Check, strings.TrimSpace(f.Detail))
		if f.Advice != "" {
			fmt.Fprintf(out, "      %-17s  -> %s\n", "", f.Advice)
		}
	}
	return failure
}

// reportJSON prints the findings for programs, and fails as report does.
func reportJSON(out io.Writer, findings []datapath.Finding) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(findings); err != nil {
		return err
	}
	return report(io.Discard, findings)
}
