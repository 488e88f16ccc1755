//go:build image

package install

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// builder is an engine that builds images, with the network of this machine: what is built fetches packages and modules. Nothing of it is on this
// machine when it is done.
type builder struct {
	t    *testing.T
	sock string
}

// startBuilder runs an engine until the test's end.
func startBuilder(t *testing.T) builder {
	t.Helper()
	dir := t.TempDir()
	b := builder{t, filepath.Join(dir, "docker.sock")}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "dockerd", "--host", "unix://"+b.sock, "--data-root", filepath.Join(dir, "data"),
		"--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false",
		"--ip-forward=false", "--ip-masq=false", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/falcon-builder")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); t.Failed() {
			t.Logf("dockerd: %v\n%s", err, log.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := b.try(t.Context(), nil, "version")
		if err == nil {
			return b
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (b builder) try(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Dir, cmd.Stdin = root, stdin
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+b.sock, "DOCKER_BUILDKIT=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.New(strings.Join(args, " ") + ": " + err.Error() + "\n" + string(out) + stderr.String())
	}
	return out, err
}

func (b builder) run(args ...string) string {
	b.t.Helper()
	out, err := b.try(b.t.Context(), nil, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// baseImage imports what the Dockerfile builds in: Debian 12 with this machine's Go.
func (b builder) baseImage(name string) {
	b.t.Helper()
	dir := filepath.Join(b.t.TempDir(), "root")
	install(b.t, dir, "apt", "ca-certificates,git")
	script := `
cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
cp /etc/resolv.conf "$1/etc/resolv.conf"
mkdir -p "$1/usr/local"
cp -r "$(go env GOROOT)" "$1/usr/local/go"
tar -C "$1" -c . | docker -H "unix://$2" import --change "ENV PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin" - "$3" >/dev/null
rm -rf "$1"`
	cmd := exec.CommandContext(b.t.Context(), "bash", "-euc", script, "base", dir, b.sock, name)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("make the base image: %v\n%s", err, out)
	}
}

// The Dockerfile's commands give an image of the same binary that `make build` gives, and of what belongs to it, and nothing else.
func TestDockerfile(t *testing.T) {
	b := startBuilder(t)
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	_, base, _ := strings.Cut(string(text), "\nARG BUILDER=")
	base, _, _ = strings.Cut(base, "\n")
	b.baseImage(base)
	here(t, "make build VERSION=v9.8.7 COMMIT=0123456 && cp bin/falcon out/falcon-image && make build")
	b.run("build", "--network", "host", "--build-arg", "VERSION=v9.8.7", "--build-arg", "COMMIT=0123456", "--tag", "falcon:test", ".")

	files := b.files("falcon:test")
	want, err := os.ReadFile(filepath.Join(root, "out", "falcon-image"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(files["falcon"], want) {
		t.Error("the image's binary is another than that of make build")
	}
	var sbom struct {
		Components []struct{ Name string }
	}
	if err := json.Unmarshal(files["usr/share/doc/falcon/sbom.cdx.json"], &sbom); err != nil {
		t.Error(err)
	}
	for _, module := range []string{"github.com/cilium/ebpf", "github.com/vishvananda/netlink", "github.com/sirupsen/logrus"} {
		if !slices.ContainsFunc(sbom.Components, func(c struct{ Name string }) bool { return c.Name == module }) {
			t.Errorf("the SBOM lacks %s", module)
		}
		if !slices.ContainsFunc(names(files), func(name string) bool {
			return strings.HasPrefix(name, "usr/share/doc/falcon/licences/"+module+"/LICENSE")
		}) {
			t.Errorf("the licence of %s is missing", module)
		}
	}
	for name := range files {
		if name != "falcon" && !strings.HasPrefix(name, "usr/share/doc/falcon/") && !slices.Contains(engineFiles, name) {
			t.Errorf("the image has %s, too", name)
		}
	}
	if label := b.run("inspect", "--format", `{{index .Config.Labels "org.opencontainers.image.version"}}`, "falcon:test"); label != "v9.8.7" {
		t.Errorf("version %q", label)
	}
}

// engineFiles are what an engine puts into any container.
var engineFiles = []string{".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab"}

func names(files map[string][]byte) (list []string) {
	for name := range files {
		list = append(list, name)
	}
	return list
}

// files are an image's.
func (b builder) files(image string) map[string][]byte {
	b.t.Helper()
	id := b.run("create", image)
	out, err := b.try(b.t.Context(), nil, "export", id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.run("rm", id)
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			b.t.Fatal(err)
		}
	}
}
