package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// leastInterval: the daemon's own loads are of about 100 ms.
const leastInterval = 100 * time.Millisecond

// top is `falcon top`.
type top struct {
	runDir   string
	interval time.Duration
	once     bool
}

func topCommand() *cobra.Command {
	var t top
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch what CPUs and stages do to packets, and try another steering",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&t.runDir, "run-dir", defaultRunDir, "directory of the API socket")
	cmd.Flags().DurationVar(&t.interval, "interval", time.Second, "time between two looks")
	cmd.Flags().BoolVar(&t.once, "once", false, "print one interval as text and exit")
	fromEnvironment(cmd)
	return cmd
}

// run shows a person a live view, and gives anything else text.
func (t top) run(ctx context.Context, in io.Reader, out io.Writer) error {
	if t.interval < leastInterval {
		return flagError("interval", t.interval.String(), "must be at least "+leastInterval.String())
	}
	if !t.once && isTerminal(in) && isTerminal(out) {
		return t.live(ctx, in.(*os.File), out.(*os.File))
	}
	return t.print(ctx, out)
}

func (t top) look(ctx context.Context) (topSample, error) {
	_, s, err := fetchStatus(ctx, t.runDir)
	return topSample{time.Now(), s}, err
}

// print writes a block of text each interval. A daemon that stops answering may come back; one that never did is an error.
func (t top) print(ctx context.Context, out io.Writer) error {
	before, err := t.look(ctx)
	for err == nil && rest(ctx, t.interval) {
		after, failure := t.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case failure != nil && t.once:
			return failure
		case failure != nil:
			_, err = fmt.Fprintf(out, "%v\n\n", failure)
			continue
		}
		for _, line := range (topView{before: before, after: after}).lines() {
			if _, err = fmt.Fprintln(out, line.text); err != nil {
				return err
			}
		}
		if t.once {
			return nil
		}
		_, err = fmt.Fprintln(out)
		before = after
	}
	return err
}

// rest waits; false if ctx ends first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// live shows a screen until q. Whatever ends it, an experiment that was begun here ends with it.
func (t top) live(ctx context.Context, in, out *os.File) (failure error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	first, err := t.look(ctx)
	if err != nil {
		return err
	}
	s := &topScreen{top: t, experiment: topExperiment{runDir: t.runDir}, view: topView{before: first, after: first, keys: true, note: "measuring"}}
	defer func() {
		said, err := s.experiment.end(ctx)
		if said != "" {
			fmt.Fprintln(out, said)
		}
		failure = errors.Join(failure, err)
	}()
	return s.run(ctx, in, out)
}
