package kernels

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
)

//go:embed init.sh
var initScript []byte

// users has those that programs become: tcpdump gives its privileges up.
const users = "root:x:0:0::/:/bin/sh\ntcpdump:x:100:100::/:/bin/false\n"

// writeImage writes the guest's root: kernel modules, programs, files of this machine by their names there, and what starts it. It is not compressed:
// the emulated processor would need longer to unpack it than qemu to read it.
func writeImage(ctx context.Context, name string, modules []module, files map[string]string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 1<<20)
	a := newArchive(out)
	if err := fill(ctx, a, modules, files); err != nil {
		return err
	}
	return errors.Join(a.close(), out.Flush())
}

func fill(ctx context.Context, a *archive, modules []module, files map[string]string) error {
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "bin", "var/tmp"} {
		a.directory(dir)
	}
	a.device("dev/console", 5, 1) // the first process writes there before it has mounted /dev
	a.file("init", 0o755, initScript)
	a.file("etc/passwd", 0o644, []byte(users))
	a.file("etc/group", 0o644, []byte("root:x:0:\ntcpdump:x:100:\n"))
	for i, m := range modules {
		a.file(fmt.Sprintf("modules/%03d-%s.ko", i, m.name), 0o644, m.code)
	}
	for as, file := range files {
		if err := addFile(a, file, as); err != nil {
			return fmt.Errorf("add file: %w", err)
		}
	}
	box, err := lookUp("busybox")
	if err != nil {
		return err
	}
	if err := addFile(a, box, "/bin/busybox"); err != nil {
		return fmt.Errorf("add busybox: %w", err)
	}
	for _, p := range programs {
		if err := addProgram(ctx, a, p); err != nil {
			return err
		}
	}
	return addPlugins(a)
}
