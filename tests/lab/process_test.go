package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestExec(t *testing.T) {
	h := New(t, Options{Hosts: 1}).Hosts[0]
	ctx := testContext(t)

	if out := must(t)(h.ExecInput(ctx, strings.NewReader("in"), "sh", "-c", "cat; echo; echo")); out != "in" {
		t.Errorf("output: got %q", out)
	}
	out, err := h.Exec(ctx, "sh", "-c", "echo out; echo err >&2; exit 3")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.HasSuffix(err.Error(), ": err") || out != "out" {
		t.Errorf("failing command: got %q, %v", out, err)
	}
	// The environment is not the test's.
	t.Setenv("DOCKER_HOST", "tcp://192.0.2.1")
	if out := must(t)(h.Exec(ctx, "sh", "-c", "echo $DOCKER_HOST")); out != "" {
		t.Errorf("DOCKER_HOST in host: %q", out)
	}
}

// A command goes when its time is up, with all that it has started.
func TestStartLimit(t *testing.T) {
	h := New(t, Options{Hosts: 1}).Hosts[0]
	ctx := testContext(t)
	p, err := h.Start(ctx, 100*time.Millisecond, "sh", "-c", "sleep 1234 & echo on; wait")
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Wait()
	if !errors.Is(err, context.DeadlineExceeded) || out != "on" {
		t.Errorf("got %q, %v", out, err)
	}
	Eventually(t, 5*time.Second, func() error {
		if _, err := h.Exec(ctx, "pgrep", "-f", "sleep 1234"); err == nil {
			return errors.New("the child still runs")
		}
		return nil
	})
}

func TestStop(t *testing.T) {
	h := New(t, Options{Hosts: 1}).Hosts[0]
	ctx := testContext(t)
	for name, script := range map[string]string{
		"heeds":    `trap "echo bye; exit" INT; echo on; while :; do sleep 0.01; done`,
		"stubborn": `trap "" INT; echo on; while :; do sleep 0.01; done`,
	} {
		p, err := h.Start(ctx, time.Minute, "sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		Eventually(t, 5*time.Second, func() error {
			if p.Output() != "on" {
				return errors.New("not on")
			}
			return nil
		})
		out, err := p.Stop()
		if want := map[string]string{"heeds": "on\nbye", "stubborn": "on"}[name]; err != nil || out != want {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
	}
}

// A daemon that ends instead of answering is reported at once, with its last words.
func TestDaemonFailsToStart(t *testing.T) {
	h := New(t, Options{Hosts: 1}).Hosts[0]
	never := func(context.Context) error { return errors.New("no answer") }
	d := newDaemon(h, "bad", never, "sh", "-c", "echo last words; exit 1")
	err := d.Start(testContext(t))
	if err == nil || !strings.Contains(err.Error(), "it ended") || !strings.Contains(err.Error(), "last words") {
		t.Errorf("got %v", err)
	}
}

func TestAttach(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	cmd, err := Attach(l.Name, "h1", "sh", "-c", "hostname; pwd; echo $HOME; ps -o args= 1 | grep -c bash; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if string(out) != "h1\n/\n/root\n1\n" || !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := Attach(l.Name, "h2", "true"); err == nil {
		t.Error("attached to a host that there is not")
	}
}

func TestPidIsThatOfTheProgram(t *testing.T) {
	h := New(t, Options{Hosts: 1}).Hosts[0]
	p, err := h.Start(testContext(t), time.Minute, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	// env becomes the program, soon after it started.
	Eventually(t, 10*time.Second, func() error {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.Pid()))
		if err == nil && string(name) != "sleep\n" {
			err = fmt.Errorf("process is %q", name)
		}
		return err
	})
	must(t)(p.Stop())
}
