package lab

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollInterval is how often a condition that cannot be awaited is tested.
const pollInterval = 20 * time.Millisecond

// Poll calls fn until it returns nil or ctx ends; then the error tells fn's last one.
func Poll(ctx context.Context, fn func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := fn(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// Eventually fails the test unless fn returns nil within timeout.
func Eventually(t testing.TB, timeout time.Duration, fn func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := Poll(ctx, func(context.Context) error { return fn() }); err != nil {
		t.Fatalf("not within %v: %v", timeout, err)
	}
}
