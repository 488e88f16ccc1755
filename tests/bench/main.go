// Command bench measures Falcon in the lab against what a user would use otherwise, and writes what it measured, every
// sample, to out/bench. Nothing here asserts a figure: the machine that it runs on decides those.
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

	"falcon/tests/bench/experiment"
	"falcon/tests/bench/load"
	"falcon/tests/bench/report"
	"falcon/tests/bench/subject"
)

// limit ends a run that hangs.
const limit = 3 * time.Hour

func main() {
	// The readers of package load are this program, started anew.
	if ran, err := load.Helper(); ran {
		exit(err)
	}
	only := flag.String("experiment", "", "run this one only")
	subjects := flag.String("subjects", "", "compare these only, separated by commas")
	quick := flag.Bool("quick", false, "short form")
	out := flag.String("out", "out/bench", "directory for the report")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	exit(run(ctx, *only, *subjects, *quick, *out))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run runs experiments and writes the report, of a run that was interrupted too.
func run(ctx context.Context, only, subjects string, quick bool, out string) error {
	experiments := experiment.Find(only)
	if len(experiments) == 0 {
		return fmt.Errorf("experiment %q: must be one of %s", only, strings.Join(experiment.Names(), ", "))
	}
	r := report.New(report.Collect(quick))
	if err := measure(ctx, experiments, subjects, quick, r); err != nil {
		r.Fail("bench", err)
	}
	r.Took = time.Since(r.Began)
	written := r.Write(out) // before anything else can go wrong
	fmt.Print(r.Brief())
	return errors.Join(written, r.Err())
}

func measure(ctx context.Context, experiments []experiment.Experiment, subjects string, quick bool, r *report.Report) (failure error) {
	var bed *subject.Bed
	if slices.ContainsFunc(experiments, func(x experiment.Experiment) bool { return x.Bed }) {
		fmt.Println("two hosts, their engines and networks ...")
		var err error
		if bed, err = subject.Open(ctx); err != nil {
			return err
		}
		defer func() { failure = errors.Join(failure, bed.Close()) }()
		if subjects != "" {
			if err := bed.Only(strings.Split(subjects, ",")); err != nil {
				return err
			}
		}
		r.Versions, r.Pinned = bed.Versions(ctx), bed.Cores.Describe()
	}
	steps := 0
	for _, x := range experiments {
		steps += x.Steps(bed, quick)
	}
	progress := report.NewProgress(os.Stdout, steps)
	defer progress.Done()
	for _, x := range experiments {
		if err := ctx.Err(); err != nil {
			return err
		}
		x.Run(ctx, bed, quick, r, progress)
	}
	return nil
}
