package recovery

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// Other versions of falcon, by the names that their commands have in the lab.
const (
	nextVersion = "falcon-next"    // another stamp
	foreignMaps = "falcon-foreign" // programs that share no maps with ours: they cannot take over what ours have noted
	ourVersion  = "falcon"
)

// buildVersion builds falcon under another version's name, with some of its files replaced by others.
func buildVersion(t *testing.T, version string, replace map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	for file, by := range replace {
		name, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		overlay["Replace"][name] = by
	}
	content, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, version)
	if err := os.WriteFile(list, content, 0o600); err != nil {
		t.Fatal(err)
	}
	shell(t, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-overlay", list, "-ldflags", "-X main.version="+version, "-o", binary, ".")
	return binary
}

// foreignObjects compiles the programs of steering with one map of another size, as a later version may well have it, and tells
// which files of ours they replace. It is what `make generate` does (datapath/generate.go), but for a copy.
func foreignObjects(t *testing.T) map[string]string {
	t.Helper()
	dir := foreignSources(t)
	objects := map[string]string{}
	for _, name := range []string{"steer", "split"} {
		object := filepath.Join(dir, name+".o")
		shell(t, "clang-19", "-O2", "-g", "-mcpu=v3", "--target=bpfel", "-I/usr/include/x86_64-linux-gnu", "-I/usr/include/aarch64-linux-gnu",
			"-c", filepath.Join(dir, name+".bpf.c"), "-o", object)
		shell(t, "llvm-strip-19", "--strip-debug", object)
		objects["datapath/"+name+"_bpfel.o"] = object
	}
	return objects
}

// foreignSources is a directory with the changed sources.
func foreignSources(t *testing.T) string {
	t.Helper()
	const header, ours, theirs = "maps.h", "__uint(max_entries, 16384)", "__uint(max_entries, 8192)" // networks
	dir := t.TempDir()
	sources, err := filepath.Glob(filepath.Join(root, "bpf", "*"))
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, file := range sources {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == header {
			changed += bytes.Count(content, []byte(ours))
			content = bytes.ReplaceAll(content, []byte(ours), []byte(theirs))
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if changed != 1 {
		t.Fatalf("%d maps have the size that is to be another: want one", changed)
	}
	return dir
}

// shell runs a command of this machine at the project's root.
func shell(t *testing.T, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}
