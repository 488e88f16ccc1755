package kernels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// programs are what the tests of package datapath run, beside what busybox has.
var programs = []string{
	"sh", // busybox's prefers its own ip to the real one
	"ip", "bridge", "tc", "ethtool", "ping", "sysctl", "taskset", "tcpdump", "nft",
	"mount", "umount", "nsenter", // know more options than busybox's
	"iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy",
}

// plugins are libraries that programs load by name: the matches and targets of iptables.
const plugins = "/usr/lib/*/xtables/*.so"

// sbin is where some programs are that an ordinary user's PATH lacks.
var sbin = []string{"/usr/sbin", "/sbin"}

// addProgram adds a program of this machine to /usr/bin, and the libraries that it is linked with.
func addProgram(ctx context.Context, a *archive, name string) error {
	file, err := lookUp(name)
	if err != nil {
		return fmt.Errorf("add program %s: %w", name, err)
	}
	if err := addFile(a, file, "/usr/bin/"+name); err != nil {
		return fmt.Errorf("add program %s: %w", name, err)
	}
	linked, err := output(ctx, "", "ldd", file)
	if err != nil {
		return fmt.Errorf("add program %s: %w", name, err)
	}
	// Lines such as "libc.so.6 => /lib/.../libc.so.6 (0x7f...)" and "/lib64/ld-linux-x86-64.so.2 (0x7f...)".
	for word := range strings.FieldsSeq(linked) {
		if !strings.HasPrefix(word, "/") {
			continue
		}
		if err := addFile(a, word, word); err != nil {
			return fmt.Errorf("add library of program %s: %w", name, err)
		}
	}
	return nil
}

func lookUp(name string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), sbin...) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("look up %s: not on this machine; run `make deps`", name)
}

func addPlugins(a *archive) error {
	files, err := filepath.Glob(plugins)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := addFile(a, f, f); err != nil {
			return fmt.Errorf("add plugin: %w", err)
		}
	}
	return nil
}

// addFile adds what a name of this machine leads to, be it through links.
func addFile(a *archive, file, as string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	a.file(as, 0o755, content)
	return nil
}
