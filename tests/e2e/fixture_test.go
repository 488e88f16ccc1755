package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"falcon/tests/lab"
)

const (
	commandLimit  = time.Minute // for a command, on a loaded machine
	tearDownLimit = 3 * time.Minute
)

// fixture is a lab as one test uses it: it takes away at the end what the test made.
type fixture struct {
	*lab.Lab
	t  testing.TB
	h1 *lab.Host
	h2 *lab.Host // nil in a lab of one host

	boxes map[*lab.Host][]string        // names of containers
	undo  []func(context.Context) error // the rest, in order of what they undo
}

func newFixture(t testing.TB, l *lab.Lab) *fixture {
	f := &fixture{Lab: l, t: t, h1: l.Hosts[0], boxes: map[*lab.Host][]string{}}
	if len(l.Hosts) > 1 {
		f.h2 = l.Hosts[1]
	}
	return f
}

// sub is the fixture of a subtest.
func (f *fixture) sub(t *testing.T) *fixture {
	s := newFixture(t, f.Lab)
	t.Cleanup(s.tearDown)
	return s
}

// in is the fixture with another test to fail, which makes nothing.
func (f *fixture) in(t *testing.T) *fixture {
	other := *f
	other.t = t
	return &other
}

// atEnd registers what is to be undone at the end of the test, last things first, when no container is left.
func (f *fixture) atEnd(undo func(context.Context) error) { f.undo = append(f.undo, undo) }

// tearDown removes what the test made until now.
func (f *fixture) tearDown() {
	ctx, cancel := context.WithTimeout(context.Background(), tearDownLimit)
	defer cancel()
	if f.t.Failed() {
		f.report(ctx)
	}
	failures := []error{f.onHosts(func(h *lab.Host) error { return removeBoxes(ctx, h, f.boxes[h]) })}
	for _, undo := range slices.Backward(f.undo) {
		failures = append(failures, undo(ctx))
	}
	clear(f.boxes)
	f.undo = nil
	if err := errors.Join(failures...); err != nil {
		f.t.Error("tear down:", err)
	}
}

// report writes down the state of the lab.
func (f *fixture) report(ctx context.Context) {
	for _, h := range f.Hosts {
		if h.Plugin == nil {
			continue // falcon is a managed plugin there
		}
		f.t.Logf("end of %s:\n%s", filepath.Base(h.Plugin.Log), h.Plugin.LogTail())
	}
	file, err := f.SaveReport(ctx, f.t.Name())
	f.t.Log("state of the lab at the time of the failure:", file, err)
}

// run runs a command in a host; the test ends if it fails.
func (f *fixture) run(h *lab.Host, argv ...string) string {
	f.t.Helper()
	out, err := f.try(h, argv...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// try runs a command in a host that may fail.
func (f *fixture) try(h *lab.Host, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), commandLimit)
	defer cancel()
	return h.Exec(ctx, argv...)
}

// client is the docker client. That of the distribution comes first, for it fits the engine: a newer one refuses some of
// what an older engine can do.
var client = sync.OnceValue(func() string {
	const packaged = "/usr/bin/docker"
	if _, err := os.Stat(packaged); err != nil {
		return "docker"
	}
	return packaged
})

// docker runs a docker command; the test ends if it fails.
func (f *fixture) docker(h *lab.Host, args ...string) string {
	f.t.Helper()
	return f.run(h, append([]string{client()}, args...)...)
}

// network creates a docker network on a host, until the end of the test. args are all of the command's.
func (f *fixture) network(h *lab.Host, name string, args ...string) {
	f.t.Helper()
	f.docker(h, slices.Concat([]string{"network", "create"}, args, []string{name})...)
	f.atEnd(func(ctx context.Context) error {
		// The test may have removed it.
		_, err := h.Exec(ctx, "sh", "-c", `docker network ls --quiet --filter "name=^$0\$" | xargs -r docker network rm`, name)
		return err
	})
}

// overlay creates a network on all hosts that share it, addresses included. args are further ones of
// `docker network create`.
func (f *fixture) overlay(name string, args ...string) {
	f.t.Helper()
	for _, h := range f.Hosts {
		f.network(h, name, overlayArgs(name, args...)...)
	}
}

func overlayArgs(name string, args ...string) []string {
	return append([]string{"-d", "falcon", "-o", "falcon.network=" + name,
		"--ipam-driver", "falcon", "--ipam-opt", "falcon.network=" + name}, args...)
}

// eventually waits for a condition.
func (f *fixture) eventually(condition func() error) {
	f.t.Helper()
	lab.Eventually(f.t, 10*time.Second, condition)
}

// await is eventually for the end of a test, when its context is over.
func await(limit time.Duration, condition func(context.Context) error) error {
	patience, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// The condition is not cut short, so that the last error is what it says.
	return lab.Poll(patience, func(context.Context) error {
		ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
		defer cancel()
		return condition(ctx)
	})
}

// onHosts does the same on all hosts at once.
func (f *fixture) onHosts(do func(*lab.Host) error) error {
	failures := make(chan error, len(f.Hosts))
	for _, h := range f.Hosts {
		go func() {
			if err := do(h); err != nil {
				failures <- fmt.Errorf("%s: %w", h.Name, err)
				return
			}
			failures <- nil
		}()
	}
	var all []error
	for range f.Hosts {
		all = append(all, <-failures)
	}
	return errors.Join(all...)
}
