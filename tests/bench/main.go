// Command bench measures Falcon in the lab and writes what it measured, every sample, to out/bench. Nothing here asserts
// a figure: the machine that it runs on decides those.
//
// It has one experiment so far: control, what it costs to create endpoints and networks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"falcon/tests/bench/report"
)

// limit ends a run that hangs.
const limit = 30 * time.Minute

// experiments by name, in the order in which they run.
var experiments = []struct {
	name string
	run  func(ctx context.Context, quick bool, r *report.Report) error
}{
	{"control", control},
}

func main() {
	only := flag.String("experiment", "", "run this one only")
	quick := flag.Bool("quick", false, "short form")
	out := flag.String("out", "out/bench", "directory for the report")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, *only, *quick, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, quick bool, out string) error {
	var names []string
	for _, e := range experiments {
		names = append(names, e.name)
	}
	if only != "" && !slices.Contains(names, only) {
		return fmt.Errorf("experiment %q: must be one of %s", only, strings.Join(names, ", "))
	}
	r := report.New(report.Collect(quick))
	began := time.Now()
	for _, e := range experiments {
		if only != "" && e.name != only {
			continue
		}
		started := time.Now()
		fmt.Printf("%s ...\n", e.name)
		if err := e.run(ctx, quick, r); err != nil {
			r.Fail(e.name, err) // the others still run; Err reports it at the end
		}
		fmt.Printf("%s took %v\n", e.name, time.Since(started).Round(time.Second))
	}
	r.Took = time.Since(began)
	fmt.Print(r.Summary())
	return errors.Join(r.Write(out), r.Err())
}
