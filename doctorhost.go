package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"falcon/datapath"
	"falcon/driver"
)

// examineClock says whether somebody keeps this host's clock. Falcon measures time without it, but etcd's certificates have dates, and
// whoever compares hosts' logs wants the same time on both.
func examineClock() datapath.Finding {
	f := datapath.Finding{Check: "clock", OK: true}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		f.Detail = "unknown: " + err.Error()
		return f
	}
	return judgeClock(f, state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0)
}

func judgeClock(f datapath.Finding, unkept bool) datapath.Finding {
	f.Detail = "kept by a time service"
	if unkept {
		f.Detail = "kept by nobody"
		f.Advice = "certificates of etcd have dates, and logs of several hosts are compared: run chrony or systemd-timesyncd"
	}
	return f
}

// pluginSpecs are where an engine looks for plugins besides its directory of sockets (Docker, "Plugin discovery").
var pluginSpecs = []string{"/etc/docker/plugins", "/usr/lib/docker/plugins"}

// examineDrivers looks for others of the same name, of which an engine takes the first that it finds.
func examineDrivers(dirs []string) datapath.Finding {
	f := datapath.Finding{Check: "drivers", OK: true, Detail: "no other is called " + driver.DriverName}
	var others []string
	for _, dir := range dirs {
		for _, kind := range []string{".spec", ".json"} {
			if name := filepath.Join(dir, driver.DriverName+kind); exists(name) {
				others = append(others, name)
			}
		}
	}
	if len(others) > 0 {
		f.Detail = "the engine may take another for " + driver.DriverName + ": " + strings.Join(others, ", ")
		f.Advice = "remove that file, unless it leads to falcon's own socket"
	}
	return f
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// examineOrphans looks for devices of ours that nobody wants. A daemon collects them by itself, after a grace period.
func examineOrphans(ctx context.Context, dp *datapath.Datapath, status *driver.Status) datapath.Finding {
	f := datapath.Finding{Check: "orphans", OK: true}
	owned, err := dp.Owned(ctx)
	if err != nil {
		f.Detail = "unknown: " + err.Error()
		return f
	}
	return judgeOrphans(f, owned, status)
}

func judgeOrphans(f datapath.Finding, owned datapath.Owned, status *driver.Status) datapath.Finding {
	if status == nil {
		f.Detail = fmt.Sprintf("%d networks and %d endpoints are in the kernel", len(owned.Networks), len(owned.Endpoints))
		if len(owned.Networks)+len(owned.Endpoints) > 0 {
			f.Advice = "no daemon looks after them, though packets flow on: start falcon, or take them away with: falcon uninstall"
		}
		return f
	}
	wanted := map[datapath.VNI]bool{}
	for _, n := range status.Networks {
		wanted[datapath.VNI(n.VNI)] = true
	}
	var orphans []string
	for _, n := range owned.Networks {
		if !wanted[n.VNI] {
			orphans = append(orphans, fmt.Sprintf("%s (VNI %d)", n.Name, n.VNI))
		}
	}
	f.Detail = "no device is left of a network that is gone"
	if len(orphans) > 0 {
		f.Detail = "devices are left of networks that are gone: " + strings.Join(orphans, ", ")
		f.Advice = "the daemon removes them within two minutes; if not, its log says why"
	}
	return f
}
