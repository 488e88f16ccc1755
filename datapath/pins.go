package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// makePins makes a directory for pinned maps, and tells whether it had to.
func makePins(dir string) (made bool, err error) {
	_, err = os.Stat(dir)
	made = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make directory for maps: %w: %s", err, pinAdvice(filepath.Dir(dir)))
	}
	if isBPFFS(dir) {
		return made, nil
	}
	err = fmt.Errorf("keep maps in %s: it is not in a bpffs: %s", dir, pinAdvice(filepath.Dir(dir)))
	if made {
		err = errors.Join(err, os.Remove(dir))
	}
	return false, err
}

// remakePins empties a directory for pinned maps.
func remakePins(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove maps of another version: %w", err)
	}
	return os.MkdirAll(dir, 0o700)
}

func isBPFFS(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && uint32(s.Type) == unix.BPF_FS_MAGIC
}

// pinAdvice says how a directory becomes one that can be pinned in.
func pinAdvice(dir string) string {
	if isBPFFS(dir) {
		return "mount -o remount,rw " + dir
	}
	return "mount -t bpf bpf " + dir
}

// ProbePins tries to pin a map where DefaultPins is to be, beside what others have there.
func ProbePins() Finding { return probePins(filepath.Dir(DefaultPins)) }

func probePins(dir string) Finding {
	f := finding("bpffs", tryPin(dir), pinAdvice(dir)+", before falcon starts")
	if f.OK {
		f.Detail = "maps can be pinned in " + dir
	} else if !isBPFFS(dir) {
		f.Fix = func() error { return os.NewSyscallError("mount", unix.Mount("bpf", dir, "bpf", 0, "mode=0700")) }
	}
	return f
}

func tryPin(dir string) error {
	own, err := os.MkdirTemp(dir, "falcon-trial-*")
	if err != nil {
		return fmt.Errorf("pin a map: %w", err)
	}
	defer os.RemoveAll(own)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Pin(filepath.Join(own, "map")); err != nil {
		return fmt.Errorf("pin a map in %s: %w", dir, err)
	}
	return nil
}
