package kernels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// releases are the kernels: the oldest and the newest that Debian 12 brings.
var releases = []release{
	{"6.1", "linux-image-amd64"},       // no TCX
	{"6.12", "linux-image-6.12-amd64"}, // TCX, netkit
}

// pattern selects the tests of package datapath: those of its programs and of steering, and those of what packets meet or
// the kernel's tables show that may be otherwise on another kernel. What more there is takes long, or needs no kernel.
const pattern = "Steer|RPS|Sysfs|ThisMachine|Guard|Probe|Overlay|FullMTU|Forward|Legacy|Watch|Moves|Sync|Changed"

// unfit are tests among them that want each of a thousand packets to arrive, and no other to come by meanwhile: an emulated
// machine is too slow for their rate, and each second of theirs is long enough for its own router solicitations.
const unfit = "^TestSteer(PlacesStages|HopsNoMore)$"

// environment makes the longest test shorter: an emulated machine moves some 15 thousand packets a second.
var environment = []string{"FALCON_ORDER_PACKETS=20000"}

// Of each kernel. A guest boots in 5 seconds; an emulated processor is ten times slower than a real one.
const (
	fetchLimit = 5 * time.Minute
	testLimit  = 170 * time.Second // in the guest, which then tells where the test hangs
	guestLimit = 200 * time.Second
)

const (
	root  = "../.."
	cache = root + "/out/kernels"
)

func TestKernels(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Fatal("needs an amd64 machine: the guests run its programs")
	}
	test := buildTest(t)
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) { testKernel(t, r, test) })
	}
}

// buildTest gives the static test binary of package datapath.
func buildTest(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "datapath.test")
	if _, err := output(t.Context(), root, "env", "CGO_ENABLED=0", "go", "test", "-c", "-o", file, "./datapath"); err != nil {
		t.Fatal(err)
	}
	return file
}

func testKernel(t *testing.T, r release, test string) {
	g := prepare(t, r, test)
	t.Parallel() // a guest takes one processor; apt, before, does one thing at a time
	ctx, cancel := context.WithTimeoutCause(t.Context(), guestLimit, fmt.Errorf("not done after %v", guestLimit))
	defer cancel()
	console, err := g.run(ctx)
	o, verdict := judge(console)
	if verdict != nil {
		err = verdict
	}
	log := filepath.Join(cache, "console-"+r.name+".txt")
	if err := os.WriteFile(log, []byte(console), 0o644); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatalf("%v; console:\n%s", err, console)
	}
	t.Logf("passed: %v; console in %s", o.passed, log)
}

func prepare(t *testing.T, r release, test string) guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchLimit)
	defer cancel()
	k, err := r.open(ctx, cache)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := k.modules(ctx, wantedModules)
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "initramfs")
	if err := writeImage(ctx, image, modules, test); err != nil {
		t.Fatal(err)
	}
	return guest{k.vmlinuz(), image, environment, []string{
		"-test.v", "-test.run", pattern, "-test.skip", unfit, "-test.timeout", testLimit.String()}}
}
