package experiment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"falcon/tests/lab"
)

// hogs is how many processes load a core. Each is a session, and so has a share of its own (sched_autogroup): to an
// application that wants all of the core they leave a quarter.
const hogs = 3

// hog loads a core of a host with processes that compute, for a time.
func hog(ctx context.Context, h *lab.Host, core int, d time.Duration) error {
	var group errgroup.Group
	for range hogs {
		group.Go(func() error { return compute(ctx, h, core, d) })
	}
	return group.Wait()
}

func compute(ctx context.Context, h *lab.Host, core int, d time.Duration) error {
	p, err := h.Start(ctx, d+hogMargin, "taskset", "-c", strconv.Itoa(core), "sh", "-c", "while :; do :; done")
	if err != nil {
		return fmt.Errorf("load core %d: %w", core, err)
	}
	select {
	case <-time.After(d):
		_, err = p.Stop()
	case <-p.Done():
		var out string
		out, err = p.Wait()
		err = errors.Join(fmt.Errorf("load core %d: ended early: %s", core, out), err)
	}
	return err
}

// hogMargin is by how much its limit exceeds its time, should this process not come to end it.
const hogMargin = time.Second
