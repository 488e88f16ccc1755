package lab

import (
	"fmt"
	"path/filepath"
)

// Namespace is the file of a network namespace of the host as seen from outside: for programs that are not in the host.
// sandbox is its path in the host, free of symbolic links, for those would be followed outside; empty for the host's own
// network. It is good until the host reboots.
func (h *Host) Namespace(sandbox string) string {
	proc := fmt.Sprintf("/proc/%d", h.cmd.Process.Pid)
	if sandbox == "" {
		return proc + "/ns/net"
	}
	return filepath.Join(proc, "root", sandbox)
}

// Port is the host's port of the switch, the other end of its eth0: the file of the switch's network namespace, as seen
// from outside, and the device's name there.
func (h *Host) Port() (namespace, device string) { return h.lab.wire.Namespace(""), h.Name }
