package recovery

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"falcon/tests/lab"
)

// falconDevices begin the names of all devices that falcon makes.
var falconDevices = []string{"fbr-", "fvx-", "fp-", "fc-"}

// kernel describes what falcon has in a host's kernel: a line per device, entry and rule, in order. What a
// device made anew may have otherwise (numbers, random addresses) is left out, so that a repaired kernel
// equals the one before the damage.
func (o overlay) kernel(h *lab.Host) ([]string, error) {
	var lines []string
	for _, list := range []func(*lab.Host) ([]string, error){o.links, o.fdb, o.neighbours, o.guards} {
		l, err := list(h)
		if err != nil {
			return nil, err
		}
		lines = append(lines, l...)
	}
	slices.Sort(lines)
	return lines, nil
}

// awaitKernel waits until a host's kernel has exactly these lines.
func (o overlay) awaitKernel(h *lab.Host, want []string, within time.Duration) {
	o.t.Helper()
	o.eventually(within, func() error {
		have, err := o.kernel(h)
		if err != nil {
			return err
		}
		return sameLines(have, want)
	})
}

// sameLines tells in which lines two lists differ.
func sameLines(have, want []string) error {
	var diff []string
	for _, l := range want {
		if !slices.Contains(have, l) {
			diff = append(diff, "- "+l)
		}
	}
	for _, l := range have {
		if !slices.Contains(want, l) {
			diff = append(diff, "+ "+l)
		}
	}
	if len(diff) > 0 {
		return fmt.Errorf("differs:\n%s", strings.Join(diff, "\n"))
	}
	return nil
}

// query runs a command that prints JSON.
func query[T any](o overlay, h *lab.Host, argv ...string) ([]T, error) {
	out, err := h.Exec(o.ctx, argv...)
	if err != nil || out == "" {
		return nil, err
	}
	var rows []T
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		return nil, fmt.Errorf("read %v: %w", argv, err)
	}
	return rows, nil
}

func isFalcons(device string) bool {
	return slices.ContainsFunc(falconDevices, func(prefix string) bool { return strings.HasPrefix(device, prefix) })
}

func (o overlay) links(h *lab.Host) ([]string, error) {
	type row struct {
		Ifname, Master, Ifalias string
		MTU                     int
		Flags                   []string
		Linkinfo                struct {
			Kind string `json:"info_kind"`
			Data struct {
				ID       int
				Local    string
				Port     int
				Learning bool
			} `json:"info_data"`
			Port struct {
				Learning       bool
				Flood          bool
				NeighSuppress  bool `json:"neigh_suppress"`
				MulticastFlood bool `json:"mcast_flood"`
				BroadcastFlood bool `json:"bcast_flood"`
			} `json:"info_slave_data"`
		}
	}
	rows, err := query[row](o, h, "ip", "-json", "-details", "link")
	var lines []string
	for _, r := range rows {
		if isFalcons(r.Ifname) {
			lines = append(lines, fmt.Sprintf("link %s %q up=%t mtu=%d master=%q %+v", r.Ifname, r.Ifalias,
				slices.Contains(r.Flags, "UP"), r.MTU, r.Master, r.Linkinfo))
		}
	}
	return lines, err
}

func (o overlay) fdb(h *lab.Host) ([]string, error) {
	type row struct{ MAC, Ifname, Master, Dst, State string }
	rows, err := query[row](o, h, "bridge", "-json", "fdb")
	var lines []string
	for _, r := range rows {
		// The others are the addresses of the devices themselves and their multicast groups.
		if isFalcons(r.Ifname) && (r.State == "static" || r.Dst != "") {
			lines = append(lines, fdbLine(r.MAC, r.Ifname, r.Master, r.Dst))
		}
	}
	return lines, err
}

func fdbLine(mac, device, master, dst string) string {
	return fmt.Sprintf("fdb %s %s master=%q dst=%q", mac, device, master, dst)
}

func (o overlay) neighbours(h *lab.Host) ([]string, error) {
	type row struct{ Dst, Dev, Lladdr string }
	rows, err := query[row](o, h, "ip", "-json", "neigh", "show", "nud", "permanent")
	var lines []string
	for _, r := range rows {
		if isFalcons(r.Dev) {
			lines = append(lines, fmt.Sprintf("neighbour %s %s %s", r.Dst, r.Lladdr, r.Dev))
		}
	}
	return lines, err
}

// guards lists the programs on the bridges.
func (o overlay) guards(h *lab.Host) ([]string, error) {
	out, err := h.Exec(o.ctx, "sh", "-c", `
		for device in /sys/class/net/fbr-*; do
			[ ! -e $device ] || tc filter show dev ${device##*/} ingress | sed -n "s/.*\(falcon_[a-z]*\).*/guard ${device##*/} \1/p"
		done`)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(out, "\n"), nil
}
