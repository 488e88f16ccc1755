package datapath

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sysfs is a sysfs that shows the devices of one network namespace and is mounted nowhere. It does not keep the
// namespace: when that goes, its devices go, and then there are none to see.
type sysfs struct{ root int }

// openSysfs takes about 50 us; use sysfsCache where it is done often.
func openSysfs(ns netns.NsHandle) (*sysfs, error) {
	s := &sysfs{}
	err := inNetns(ns, func() (err error) {
		s.root, err = detached("sysfs")
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *sysfs) close() error { return unix.Close(s.root) }

// writable runs f while the filesystem can be written to although its superblock is read-only. All mounts of sysfs
// with the same network namespace share a superblock, and container runtimes mount the first one of a container
// with "ro", which makes the superblock read-only and ours with it. The container's mount has a flag of its own, so
// that it stays read-only meanwhile.
func (s *sysfs) writable(f func() error) error {
	if err := s.remount("rw"); err != nil {
		return err
	}
	return errors.Join(f(), s.remount("ro"))
}

func (s *sysfs) remount(flag string) error {
	fs, err := unix.Fspick(s.root, "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("remount sysfs %s: %w", flag, err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetFlag(fs, flag); err != nil {
		return fmt.Errorf("remount sysfs %s: %w", flag, err)
	}
	if err := unix.FsconfigReconfigure(fs); err != nil {
		return fmt.Errorf("remount sysfs %s: %w", flag, err)
	}
	return nil
}

// sysfsCache is a sysfs that is opened at its first use and stays open.
type sysfsCache struct {
	mu sync.Mutex // for fs
	fs *sysfs
}

func (c *sysfsCache) open(ns netns.NsHandle) (*sysfs, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fs != nil {
		return c.fs, nil
	}
	fs, err := openSysfs(ns)
	if err != nil {
		return nil, err
	}
	c.fs = fs
	return fs, nil
}

// close may be called again. Nothing may be under way with what open gave.
func (c *sysfsCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fs == nil {
		return nil
	}
	err := c.fs.close()
	c.fs = nil
	return err
}
