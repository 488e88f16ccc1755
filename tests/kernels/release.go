package kernels

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// release is a line of kernels, and the package of Debian that depends on its newest one.
type release struct {
	name  string // such as 6.1
	meta  string
	suite string // of Debian; empty: what apt's sources have
}

// apt runs a program of apt in a directory, where its sources and lists are too if the release is of another suite than this machine.
func (r release) apt(ctx context.Context, dir string, args ...string) (string, error) {
	if r.suite == "" {
		return output(ctx, dir, args...)
	}
	state, err := filepath.Abs(filepath.Join(dir, "apt"))
	if err != nil {
		return "", err
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(state, sub), 0o755); err != nil {
			return "", err
		}
	}
	sources := filepath.Join(state, "sources.list")
	line := "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian " + r.suite + " main\n"
	if err := os.WriteFile(sources, []byte(line), 0o644); err != nil {
		return "", err
	}
	return output(ctx, dir, slices.Insert(args, 1, "-o", "Dir::Etc::SourceList="+sources, "-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State::Lists="+filepath.Join(state, "lists"), "-o", "Dir::Cache="+filepath.Join(state, "cache"))...)
}

// image gives the name of the package with the kernel itself.
func (r release) image(ctx context.Context, dir string) (string, error) {
	out, err := r.apt(ctx, dir, "apt-cache", "depends", r.meta)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		kind, name, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if kind == "Depends" && strings.HasPrefix(name, "linux-image-"+r.name+".") {
			return name, nil
		}
	}
	return "", fmt.Errorf("package %s does not depend on a linux-image-%s", r.meta, r.name)
}

// download puts the package of the kernel into a directory and gives its path.
func (r release) download(ctx context.Context, dir string) (string, error) {
	image, err := r.image(ctx, dir)
	if err != nil {
		return "", err
	}
	if _, err := r.apt(ctx, dir, "apt-get", "-qq", "download", image); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("download %s: %d packages arrived", image, len(found))
	}
	return found[0], nil
}

// fetch downloads. Lists that are missing, or older than the last update of the kernel, are renewed once.
func (r release) fetch(ctx context.Context, dir string) (string, error) {
	deb, err := r.download(ctx, dir)
	if err == nil {
		return deb, nil
	}
	if _, stale := r.apt(ctx, dir, "apt-get", "-qq", "update"); stale != nil {
		return "", fmt.Errorf("fetch kernel %s: %w; then %w", r.name, err, stale)
	}
	if deb, err = r.download(ctx, dir); err != nil {
		return "", fmt.Errorf("fetch kernel %s: %w; are main and security updates of Debian 12 among apt's sources, and does its mirror have %s?", r.name, err, cmp.Or(r.suite, "bookworm"))
	}
	return deb, nil
}

// open gives the kernel, from the cache or else from Debian. It is unpacked aside and renamed, so what is in the cache
// is whole. It stays there, however old it gets, until `make clean`.
func (r release) open(ctx context.Context, cache string) (kernel, error) {
	k := kernel{filepath.Join(cache, r.name)}
	if _, err := os.Stat(k.dir); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return k, err
	}
	aside, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return k, err
	}
	defer os.RemoveAll(aside)
	deb, err := r.fetch(ctx, aside)
	if err != nil {
		return k, err
	}
	whole := filepath.Join(aside, "kernel")
	if err := unpack(ctx, deb, whole); err != nil {
		return k, fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
	}
	return k, os.Rename(whole, k.dir)
}

// output runs a program in a directory and gives what it printed.
func output(ctx context.Context, dir string, args ...string) (string, error) {
	var said strings.Builder
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = dir, &said
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}
