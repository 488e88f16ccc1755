// Command publish turns the report of a full run into what is kept of it in docs/bench: summary, page, medians, and
// pictures.
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

	"golang.org/x/sys/unix"

	"falcon/tests/bench/experiment"
	"falcon/tests/bench/report"
)

func main() {
	from := flag.String("from", "out/bench/report.json", "report of a full run")
	to := flag.String("to", "docs/bench", "directory to write to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := publish(ctx, *from, *to); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func publish(ctx context.Context, from, to string) error {
	r, err := report.Read(from)
	if err != nil {
		return err
	}
	if err := complete(r, experiment.Names()); err != nil {
		return fmt.Errorf("%s is not fit to be kept: %w", from, err)
	}
	if err := ready(ctx); err != nil {
		return err
	}
	return r.Publish(ctx, to, render)
}

// complete refuses what should not be cited: a quick run, one of some experiments only, and one that failed.
func complete(r *report.Report, experiments []string) error {
	if r.Quick {
		return errors.New("it is of a quick run: run make bench")
	}
	have := r.Experiments()
	lacking := slices.DeleteFunc(slices.Clone(experiments), func(e string) bool { return slices.Contains(have, e) })
	if len(lacking) > 0 {
		return fmt.Errorf("it lacks %s: run make bench without EXPERIMENT", strings.Join(lacking, ", "))
	}
	return r.Err()
}
