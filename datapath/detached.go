package datapath

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// detached mounts a filesystem that is attached to no directory (fsmount, kernel 5.2), and gives its root. In a
// managed plugin the mounted /proc/sys and /sys are read-only; this one is not. procfs and sysfs show the network
// namespace of the calling thread.
func detached(filesystem string) (int, error) {
	fs, err := unix.Fsopen(filesystem, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", filesystem, err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create %s: %w", filesystem, err)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", filesystem, err)
	}
	return root, nil
}
