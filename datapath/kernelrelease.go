package datapath

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// KernelRelease is what the kernel calls itself, such as 6.1.0-32-amd64.
func KernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// kernelBefore tells whether the kernel is older than a version. One that does not say how old it is is not.
func kernelBefore(major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(KernelRelease(), "%d.%d", &a, &b); err != nil {
		return false
	}
	return a < major || a == major && b < minor
}

// KernelTooOld tells whether falcon is made for later kernels than this one. Some of it may work all the same, and old kernels may have been
// given what later ones have: Probe tries what.
func KernelTooOld() bool { return kernelBefore(5, 15) }

// OldestKernel is the oldest that falcon is made for: the first long-term one with all that its programs use (BPF_F_ADJ_ROOM_ENCAP_L2_ETH is of 5.13).
const OldestKernel = "5.15"

// needPrograms is advice to whose kernel does not take the programs of steering or the shortcut.
const needPrograms = "needs Linux " + OldestKernel + " with CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT, and CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"

// loadError says why programs could not be loaded, if they could not: what an old kernel says of them does not mention that it is old.
func loadError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case KernelTooOld():
		return fmt.Errorf("load %s: Linux %s is too old, %s is needed: %w", what, KernelRelease(), OldestKernel, err)
	default:
		return fmt.Errorf("load %s: %w", what, err)
	}
}
