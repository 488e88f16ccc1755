package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tmpDir = "/tmp"
	prefix = "fl-" // of the names of labs: fl-PID-RANDOM, PID being their creator's

	// newborn is the age below which a lab's creator may not have locked it yet.
	newborn = time.Minute
)

// Sweep removes what labs of dead processes have left behind: directories, cgroups and, should one have
// outlived its creator, processes. Start calls it.
func Sweep() error {
	dirs, err := filepath.Glob(filepath.Join(tmpDir, prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		if err := sweepLab(dir); err != nil {
			errs = append(errs, fmt.Errorf("remove left-over lab %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

func sweepLab(dir string) error {
	lock, err := lockDir(dir)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		return nil // its creator lives, or somebody else has swept it
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	info, err := lock.Stat()
	if err != nil {
		return err
	}
	if creatorAlive(filepath.Base(dir)) && time.Since(info.ModTime()) < newborn {
		return nil
	}
	return errors.Join(killHolders(dir), removeLab(dir))
}

// lockDir locks a lab's directory for as long as the file is open. The creator of a lab holds the lock; that
// it can be had means that the creator is gone.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func creatorAlive(lab string) bool {
	pid, _, _ := strings.Cut(strings.TrimPrefix(lab, prefix), "-")
	_, err := os.Stat(filepath.Join("/proc", pid))
	return err == nil
}

// killHolders kills the hosts of a lab that are still there. Their processes 1 show the lab's directory on
// their command lines.
func killHolders(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "pid"))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		pid, err := strconv.Atoi(string(text))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, killHolder(pid, filepath.Dir(file)))
	}
	return errors.Join(errs...)
}

func killHolder(pid int, hostDir string) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	// The pidfd came first: it stands for the process whose command line this is, or for a dead one.
	cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || !bytes.Contains(cmdline, []byte("\x00"+hostDir+"\x00")) {
		return nil // gone, or somebody else's
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return awaitEnd(pidfd)
}

// awaitEnd waits for the end of a process that has been killed.
func awaitEnd(pidfd int) error {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(killWait.Milliseconds()))
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("killed process does not end")
	}
	return nil
}

// removeLab removes what a lab without processes has left.
func removeLab(dir string) error {
	return errors.Join(removeCgroups(filepath.Base(dir)), os.RemoveAll(dir))
}
