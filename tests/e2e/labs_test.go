package e2e

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// startLimit is for a lab to start, on a loaded machine.
const startLimit = 2 * time.Minute

// The labs. A test uses one of them, and one test at a time runs.
var (
	// cluster is what most tests want: two hosts, joined by etcd.
	cluster = shared{options: lab.Options{Hosts: 2, Etcd: true}}
	// single has one host, whose falcon keeps its state in a file.
	single = shared{options: lab.Options{Hosts: 1}}
	// jumbo is a cluster on an underlay with large packets.
	jumbo = shared{options: lab.Options{Hosts: 2, Etcd: true, MTU: 9000}}
)

// shared is a lab that the first test that wants it starts and TestMain closes.
type shared struct {
	options lab.Options
	start   sync.Once
	lab     *lab.Lab
	err     error
}

func TestMain(m *testing.M) {
	// The readers of package load are this program, started anew.
	if ran, err := load.Helper(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	for _, s := range []*shared{&cluster, &single, &jumbo} {
		if s.lab == nil {
			continue
		}
		if err := s.lab.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// open gives a test the use of the lab.
func (s *shared) open(t *testing.T) *fixture {
	t.Helper()
	lab.Require(t)
	s.start.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		s.options.Docker = &lab.DockerOptions{}
		// The variable is for trying another binary than `make build` makes.
		s.options.Falcon = &lab.FalconOptions{Binary: os.Getenv("FALCON_BINARY")}
		s.lab, s.err = lab.Start(ctx, s.options)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	f := newFixture(t, s.lab)
	t.Cleanup(func() {
		f.tearDown()
		f.leavesNothing()
	})
	return f
}
