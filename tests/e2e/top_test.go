package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"falcon/tests/lab"
	"falcon/tests/screen"
)

// topRun is `falcon top` as a person has it.
type topRun struct {
	*screen.Terminal
	cmd *exec.Cmd
}

// top starts it for a host. It runs outside of the lab, which it sees by the socket of the host's daemon only.
func (f *fixture) top(h *lab.Host, width, height int) topRun {
	f.t.Helper()
	r := topRun{Terminal: screen.Open(f.t, width, height)}
	binary := cmp.Or(os.Getenv("FALCON_BINARY"), "../../bin/falcon")
	r.cmd = exec.Command(binary, "top", "--interval=500ms", "--run-dir="+h.Namespace("/run/falcon"))
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = r.TTY, r.TTY, r.TTY
	r.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := r.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
	return r
}

// cell is what a row has below a title; rows and titles are told by how they begin.
func cell(lines []string, title, row, column string) string {
	i := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, title) })
	if i < 0 {
		return ""
	}
	j := slices.IndexFunc(lines[i:], func(s string) bool { return strings.HasPrefix(s, row) })
	at := strings.Index(lines[i], column)
	if j < 0 || at < 0 {
		return ""
	}
	end := at + len(column) // figures end where their title does
	line := lines[i+j]
	if len(line) < end {
		return ""
	}
	return line[strings.LastIndexByte(line[:end], ' ')+1 : end]
}

// counts waits until a row of the stages has something in a column.
func (r topRun) counts(stage, column string) {
	r.Await(stage+" counts "+column, func(lines []string) bool {
		return !slices.Contains([]string{"", "0"}, cell(lines, "stage", stage, column))
	})
}

// A person watches a host that receives, tries other modes, loses the daemon for a while, and has the terminal back at the end.
func TestTop(t *testing.T) {
	f := cluster.open(t)
	f.overlay("web", "--subnet", "10.79.0.0/24")
	f.steerAll(f.h2, "dynamic")
	l := f.loadTo("web", 6)
	stop := l.run(20000)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	r := f.top(f.h2, 80, 24)
	before := r.Settings()
	for _, stage := range []string{"NIC", "VXLAN", "container"} {
		r.counts(stage, "kpps")
	}
	r.Shows(fmt.Sprintf("%s:%d/udp", l.to.v4, loadPort))
	r.Shows("balancer: ")
	f.capture("dynamic", r)

	r.Type("s")
	r.Shows("steering static (EXPERIMENT, configured: dynamic)")
	r.counts("NIC", "hops/s")
	r.Shows("cpu0 > cpu1")
	f.capture("static", r)
	if s := f.status(f.h2); s.Steering.Experiment != "static" {
		t.Errorf("experiment: %q", s.Steering.Experiment)
	}

	r.Resize(132, 43)
	r.Await("the keys at the end of a larger window", func(lines []string) bool { return strings.HasSuffix(lines[42], "q quit") })
	r.Resize(80, 24)
	r.Await("the keys at the end of the window", func(lines []string) bool { return strings.HasSuffix(lines[23], "q quit") })

	r.Type("o")
	r.Shows("off: packets stay on the cores where they come in")
	r.Await("loads, and no stages", func(lines []string) bool {
		text := strings.Join(lines, "\n")
		return !strings.Contains(text, "stage") && cell(lines, "CPU", "total", "load") != "0%" && strings.Contains(text, "total")
	})
	f.capture("off", r)

	if err := f.h2.Plugin.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Shows("THE DAEMON DOES NOT ANSWER (connection refused)")
	f.capture("no daemon", r)
	if err := f.h2.Plugin.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Shows("ended by somebody else, or with the daemon")
	r.counts("container", "kpps")
	r.Await("no word of the daemon", func(lines []string) bool { return !strings.Contains(strings.Join(lines, " "), "NOT ANSWER") })

	r.Type("s")
	r.Shows("EXPERIMENT")
	r.endsBy(t, unix.SIGTERM)
	if r.Settings() != before {
		t.Error("the terminal's settings are not as they were")
	}
	r.Shows("the experiment (static) is over: steering is as configured (dynamic)")
	if s := f.status(f.h2); s.Steering.Experiment != "" {
		t.Errorf("experiment: %q", s.Steering.Experiment)
	}
	r.Clean()
}

// endsBy sends a signal, of which top must end well.
func (r topRun) endsBy(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(commandLimit):
		t.Fatalf("top does not end by %v:\n%s", s, r.Text())
	}
	r.Await("the screen given back", func([]string) bool { taken, hidden := r.TakenOver(); return !taken && !hidden })
}

// capture keeps the screen in out/top of the module, from where docs/top.md has its own.
func (f *fixture) capture(name string, r topRun) {
	f.t.Helper()
	dir := filepath.Join("..", "..", "out", "top")
	text := strings.Join(r.Lines(), "\n") + "\n"
	err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o644))
	if err != nil {
		f.t.Error(err)
	}
}

// For a pipe it is text, a block each interval.
func TestTopIntoAPipe(t *testing.T) {
	f := single.open(t)
	out := f.run(f.h1, "sh", "-c", "timeout --preserve-status -s INT 2.5 falcon top --interval=1s | cat")
	if n := strings.Count(out, "falcon top  h1"); n != 2 || strings.Contains(out, "\x1b") || strings.Contains(out, "quit") {
		t.Errorf("%d blocks:\n%s", n, out)
	}
	if once := f.run(f.h1, "falcon", "top", "--once"); strings.Count(once, "falcon top") != 1 || !strings.Contains(once, "no network yet") {
		t.Errorf("once:\n%s", once)
	}
}
