package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Attach prepares a command in a host of the lab that runs on this machine, whichever process made it. lab is
// the lab's name; it may be empty when there is only one.
func Attach(lab, host string, argv ...string) (*exec.Cmd, error) {
	if lab == "" {
		lab = prefix + "*"
	}
	files, err := filepath.Glob(filepath.Join(tmpDir, lab, host, "pid"))
	if err != nil {
		return nil, err
	}
	switch len(files) {
	case 0:
		return nil, fmt.Errorf("no host %s in lab %s", host, lab)
	case 1:
	default:
		return nil, fmt.Errorf("several labs, choose one: %s", strings.Join(files, " "))
	}
	pid, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	env, err := os.ReadFile(filepath.Join("/proc", string(pid), "environ"))
	if err != nil {
		return nil, fmt.Errorf("host %s has ended: %w", host, err)
	}
	path, err := findPath(env)
	if err != nil {
		return nil, err
	}
	args := []string{
		"--target", string(pid), "--net", "--mount", "--pid", "--uts", "--ipc", "--wdns=/",
		"env", "--ignore-environment", path, "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM"),
	}
	return exec.Command("nsenter", append(args, argv...)...), nil
}

// findPath finds "PATH=..." in an environment as /proc has it.
func findPath(environ []byte) (string, error) {
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.HasPrefix(variable, []byte("PATH=")) {
			return string(variable), nil
		}
	}
	return "", errors.New("host has no PATH")
}
