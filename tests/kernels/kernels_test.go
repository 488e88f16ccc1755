package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// releases are the kernels: the oldest and the newest that Debian 12 brings.
var releases = []release{
	{name: "6.1", meta: "linux-image-amd64"},       // no TCX
	{name: "6.12", meta: "linux-image-6.12-amd64"}, // TCX, netkit
}

// pattern selects the tests of package datapath: those of its programs and of steering, and those of what packets meet or
// the kernel's tables show that may be otherwise on another kernel. What more there is takes long, or needs no kernel.
const pattern = "Shortcut|Steer|RPS|Sysfs|ThisMachine|Guard|Probe|Overlay|FullMTU|Forward|Legacy|Watch|Moves|Sync|Changed"

// longest are those among them that are left out. The first cuts each packet of the table at each byte, thousands of runs of a program whose
// answer does not depend on the kernel. TestSteerNIC runs the table, TestSteerWireShort what a test run does not take.
// The others move much and meet the same programs as the rest; of hosts with and without the shortcut, the pairs where both have it are kept.
const longest = "^(TestSteerNICTruncated|TestShortcutChurn|TestShortcutWithoutOffloads)$|^TestShortcutCarries$/false"

// selected is the pattern, or that of someone who looks into one test.
func selected() string { return cmp.Or(os.Getenv("FALCON_KERNEL_TESTS"), pattern) }

// environment fits the tests to an emulated machine, which moves some 15 thousand packets a second, and lets them unplug its
// processors.
var environment = []string{"FALCON_ORDER_PACKETS=10000", "FALCON_SLOWNESS=20", "FALCON_UNPLUG=1"}

// Of each kernel. A guest boots in 5 seconds; an emulated processor is ten times slower than a real one.
const (
	fetchLimit = 5 * time.Minute
	testLimit  = 20 * time.Minute // in the guest, which then tells where the test hangs; a machine with nothing else to do needs 6
	guestLimit = 21 * time.Minute
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
	if _, err := output(t.Context(), root, "env", "CGO_ENABLED=0", "go", "test", "-c", "-tags", "guest", "-o", file, "./datapath"); err != nil {
		t.Fatal(err)
	}
	return file
}

func testKernel(t *testing.T, r release, test string) {
	g := prepare(t, r, map[string]string{"/datapath.test": test}, "/datapath.test",
		"-test.v", "-test.run", selected(), "-test.skip", longest, "-test.timeout", testLimit.String())
	g.environment = environment
	t.Parallel() // a guest takes one processor; apt, before, does one thing at a time
	console, log, err := boot(t, r, g)
	o, verdict := judge(console)
	if verdict != nil {
		err = errors.Join(verdict, err)
	}
	if err != nil {
		t.Fatalf("%v; console:\n%s", err, console)
	}
	t.Logf("passed: %v; console in %s", o.passed, log)
}

// boot runs a guest, and gives its console and the file that has it too.
func boot(t *testing.T, r release, g guest) (console, file string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), guestLimit, fmt.Errorf("not done after %v", guestLimit))
	defer cancel()
	log, err := os.Create(filepath.Join(cache, "console-"+r.name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	console, err = g.run(ctx, log)
	return console, log.Name(), err
}

// prepare makes a guest with a kernel that runs a command, and has files of this machine by their names there.
func prepare(t *testing.T, r release, files map[string]string, command ...string) guest {
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
	if err := writeImage(ctx, image, modules, files); err != nil {
		t.Fatal(err)
	}
	return guest{kernel: k.vmlinuz(), initramfs: image, arguments: command}
}
