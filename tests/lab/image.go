package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
)

// ImageName is the image that every engine of a lab has: busybox with all its applets, and iperf3.
const ImageName = "lab:latest"

// imageChanges make a container that does nothing until it is stopped, and then stops at once: process 1 heeds
// only the signals that it traps.
var imageChanges = []string{
	"--change", `CMD ["sh", "-c", "trap exit TERM; sleep 2147483647 & wait"]`,
	"--change", "ENV PATH=/bin:/usr/bin",
}

// importImage gives an engine the lab's image.
func importImage(ctx context.Context, h *Host, image []byte) error {
	_, err := h.ExecInput(ctx, bytes.NewReader(image), ImportCommand(ImageName)...)
	return err
}

// ImportCommand makes an image of what Image has made, which it reads from its standard input.
func ImportCommand(name string) []string {
	return append(append([]string{"docker", "import"}, imageChanges...), "-", name)
}

// Image makes the image's file system, a tar archive, from files of this machine.
func Image(ctx context.Context) ([]byte, error) {
	var b bytes.Buffer
	w := imageWriter{tar.NewWriter(&b)}
	if err := w.fill(ctx); err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	return b.Bytes(), nil
}

type imageWriter struct{ *tar.Writer }

func (w imageWriter) fill(ctx context.Context) error {
	for dir, mode := range map[string]int64{"/tmp": 0o1777, "/root": 0o700, "/proc": 0o755, "/sys": 0o755, "/dev": 0o755} {
		header := &tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
	}
	if err := w.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"); err != nil {
		return err
	}
	if err := w.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n"); err != nil {
		return err
	}
	if err := w.busybox(ctx); err != nil {
		return err
	}
	return w.program(ctx, "iperf3", "/usr/bin/iperf3")
}

// busybox adds /bin/busybox and a link to it for each of its commands.
func (w imageWriter) busybox(ctx context.Context) error {
	if err := w.program(ctx, "busybox", "/bin/busybox"); err != nil {
		return err
	}
	applets, err := exec.CommandContext(ctx, "busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("list busybox: %w", err)
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet == "busybox" {
			continue
		}
		header := &tar.Header{Typeflag: tar.TypeSymlink, Name: "/bin/" + applet, Linkname: "/bin/busybox"}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
	}
	return nil
}

// lddPath finds the files in lines like "libc.so.6 => /lib/libc.so.6 (0x...)" and "/lib64/ld.so (0x...)".
var lddPath = regexp.MustCompile(`(?m)(/\S+) \(0x[0-9a-f]+\)$`)

// program adds a program of this machine with its libraries, each where the loader looks for it.
func (w imageWriter) program(ctx context.Context, name, to string) error {
	binary, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%w: run tests/lab/deps.sh", err)
	}
	if err := w.file(binary, to); err != nil {
		return err
	}
	// ldd fails on a static program, which has no loader and no libraries.
	if loader, err := interpreter(binary); err != nil || loader == "" {
		return err
	}
	libs, err := exec.CommandContext(ctx, "ldd", binary).Output()
	if err != nil {
		return fmt.Errorf("list libraries of %s: %w", binary, err)
	}
	for _, match := range lddPath.FindAllSubmatch(libs, -1) {
		lib := string(match[1])
		if err := w.file(lib, lib); err != nil {
			return err
		}
	}
	return nil
}

// file adds an executable.
func (w imageWriter) file(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: path.Clean(to), Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

func (w imageWriter) text(to, content string) error {
	if err := w.WriteHeader(&tar.Header{Name: to, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := io.WriteString(w, content)
	return err
}

// interpreter is the loader that a binary asks for; none when it is static.
func interpreter(binary string) (string, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open())
			return string(bytes.TrimRight(name, "\x00")), err
		}
	}
	return "", nil
}
