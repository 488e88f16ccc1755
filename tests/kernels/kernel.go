package kernels

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// kernel is an unpacked one:
//
//	vmlinuz
//	config
//	builtin       names the modules that are part of vmlinuz
//	modules/      NAME.ko or NAME.ko.xz
type kernel struct{ dir string }

func (k kernel) vmlinuz() string { return filepath.Join(k.dir, "vmlinuz") }

// kept are the files of a kernel's package that are unpacked: those that networks are made of, a tenth of it.
var kept = []struct {
	file *regexp.Regexp
	as   string // the last of the path is the file's own name if this ends in /
}{
	{regexp.MustCompile(`^boot/vmlinuz-`), "vmlinuz"},
	{regexp.MustCompile(`^boot/config-`), "config"},
	{regexp.MustCompile(`/modules\.builtin$`), "builtin"},
	{regexp.MustCompile(`/kernel/(net|lib|crypto|drivers/net/vxlan)/.*\.ko(\.xz)?$`), "modules/"},
	{regexp.MustCompile(`/kernel/drivers/net/[^/]*\.ko(\.xz)?$`), "modules/"},
}

// place gives the path below a kernel's directory for a file of the package.
func place(file string) (string, bool) {
	file = strings.TrimPrefix(file, "./")
	for _, k := range kept {
		if !k.file.MatchString(file) {
			continue
		}
		if strings.HasSuffix(k.as, "/") {
			return k.as + path.Base(file), true
		}
		return k.as, true
	}
	return "", false
}

// unpack writes what is kept of a kernel's package into a new directory.
func unpack(ctx context.Context, deb, dir string) (err error) {
	if err := os.MkdirAll(filepath.Join(dir, "modules"), 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = unpackTar(tar.NewReader(out), dir)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return err
	}
	_, err = os.Stat(kernel{dir}.vmlinuz())
	return err
}

func unpackTar(from *tar.Reader, dir string) error {
	for {
		h, err := from.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		as, ok := place(h.Name)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeFile(filepath.Join(dir, as), from); err != nil {
			return fmt.Errorf("write %s: %w", as, err)
		}
	}
}

func writeFile(name string, from io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
