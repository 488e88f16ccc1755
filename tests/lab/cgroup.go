package lab

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupWait is how long the kernel may take to empty the cgroups of dead processes.
const cgroupWait = 10 * time.Second

// cgroupDirs are a cgroup's directories: one in the unified hierarchy, one in each of version 1.
func cgroupDirs(pattern string) ([]string, error) {
	v2, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", pattern))
	if err != nil {
		return nil, err
	}
	v1, err := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", pattern))
	return append(v2, v1...), err
}

// removeCgroups removes a cgroup and those below it, all of them empty of processes or soon to be.
func removeCgroups(name string) error {
	dirs, err := cgroupDirs(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), cgroupWait)
	defer cancel()
	return Poll(ctx, func(context.Context) error {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, removeCgroupTree(dir))
		}
		return errors.Join(errs...)
	})
}

// removeCgroupTree removes directories only: the files of a cgroup go with it.
func removeCgroupTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went by itself
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, &os.PathError{Op: "remove cgroup", Path: dir, Err: err})
		}
	}
	return errors.Join(errs...)
}
