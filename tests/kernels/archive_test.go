package kernels

import (
	"bytes"
	"os/exec"
	"testing"
)

// Another implementation reads what was written, with all paddings.
func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.file("/init", 0o755, []byte("12345"))
	a.file("usr/bin/x", 0o644, nil)
	a.file("usr/bin/x", 0o600, []byte("not twice"))
	a.device("dev/console", 5, 1)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("busybox", "cpio", "-t")
	cmd.Stdin = &b
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = "init\nusr\nusr/bin\nusr/bin/x\ndev\ndev/console\n"
	if string(list) != want {
		t.Errorf("listed:\n%s", list)
	}
}
