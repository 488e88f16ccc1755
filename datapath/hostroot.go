package datapath

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// hostRoot is the directory where this process sees the root of the host's file system; empty: its own. A managed plugin has a root
// of its own, and /proc/1/root, while Docker names sandboxes by the host's paths.
type hostRoot string

// open opens a file by its path on the host. Symbolic links lead to where they do there (openat2, kernel 5.6).
func (r hostRoot) open(path string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC
	if r == "" {
		return unix.Open(path, flags, 0)
	}
	root, err := unix.Open(string(r), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open root of the host %s: %w", string(r), err)
	}
	defer unix.Close(root)
	return unix.Openat2(root, strings.TrimPrefix(path, "/"), &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_IN_ROOT})
}

// openSandbox opens a container's network namespace. ErrSandboxGone: it is none any more, for Docker unmounts the namespace when the
// container ends, and may leave the empty file behind.
func (r hostRoot) openSandbox(path string) (netns.NsHandle, error) {
	fd, err := r.open(path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return netns.None(), fmt.Errorf("%w: %s", ErrSandboxGone, path)
	case err != nil:
		return netns.None(), fmt.Errorf("open sandbox: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		unix.Close(fd)
		return netns.None(), fmt.Errorf("%w: %s", ErrSandboxGone, path)
	}
	return netns.NsHandle(fd), nil
}

// SandboxGone tells whether path, on the host, is not a network namespace any more.
func (d *Datapath) SandboxGone(path string) bool {
	ns, err := d.root.openSandbox(path)
	if err == nil {
		ns.Close()
	}
	return errors.Is(err, ErrSandboxGone) // whoever cannot tell must not say so: what is gone is collected
}
