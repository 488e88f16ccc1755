package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guest is a virtual machine that runs the test and ends.
type guest struct {
	kernel      string   // a file
	initramfs   string   // a file
	environment []string // NAME=VALUE
	arguments   []string
}

// processors is what the guests have: enough that steering has a choice, and that cores of one flow rarely coincide.
const processors = 8

// command emulates all of the machine, so it needs no virtualization of the processor and no privilege. The machine has
// no device but a console. It ends, rather than boots again, when the kernel panics.
//
// One thread emulates all processors in turn. With a thread for each, guests of qemu 7.2 die of "Oops: int3" now and then,
// as processors run code that another one is patching, and are no faster on a machine of two cores.
func (g guest) command(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, "qemu-system-x86_64",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max",
		"-smp", strconv.Itoa(processors), "-m", "2048",
		"-kernel", g.kernel, "-initrd", g.initramfs, "-append", g.commandLine())
}

// commandLine is the kernel's. It gives variables that it does not know to the first process, and what follows "--" too;
// before that, a word of which it knows nothing would become an argument as well.
func (g guest) commandLine() string {
	line := append([]string{"console=ttyS0 quiet oops=panic panic=-1 mitigations=off"}, g.environment...)
	line = append(line, "--")
	return strings.Join(append(line, g.arguments...), " ")
}

// run gives what the guest wrote on its console, also if it failed. While it runs, it can be read in the log.
func (g guest) run(ctx context.Context, log io.Writer) (console string, err error) {
	// The kernel ends a child when the thread that started it ends, so this one must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var out bytes.Buffer
	cmd := g.command(ctx)
	both := io.MultiWriter(&out, log)
	cmd.Stdout, cmd.Stderr = both, both // one writer, so that they take turns
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("run qemu: %w", err)
	}
	return strings.ReplaceAll(out.String(), "\r", ""), err
}

// outcome is what the console tells of the tests in a guest.
type outcome struct{ passed, skipped, failed []string }

var (
	errNoStatus = errors.New("guest ended without the test's exit status")
	verdict     = regexp.MustCompile(`(?m)^falcon-kernels: exit status (\d+)$`)
	testLine    = regexp.MustCompile(`(?m)^--- (PASS|SKIP|FAIL): (\w+)`)
)

// judge reads a console. Tests that were skipped, or that nobody asked for, count as failures: what did not run on a
// kernel did not pass on it.
func judge(console string) (outcome, error) {
	var o outcome
	for _, m := range testLine.FindAllStringSubmatch(console, -1) {
		list := map[string]*[]string{"PASS": &o.passed, "SKIP": &o.skipped, "FAIL": &o.failed}[m[1]]
		*list = append(*list, m[2])
	}
	status := verdict.FindStringSubmatch(console)
	switch {
	case status == nil:
		return o, errNoStatus
	case status[1] != "0":
		return o, fmt.Errorf("run tests: exit status %s, failed %v", status[1], o.failed)
	case len(o.skipped) > 0:
		return o, fmt.Errorf("run tests: skipped %v", o.skipped)
	case len(o.passed) == 0:
		return o, errors.New("run tests: there was none")
	}
	return o, nil
}
