package experiment

import (
	"context"
	"errors"
	"fmt"

	"falcon/tests/bench/subject"
)

// Reassembly of fragments, set so that what one run leaves does not spoil the next. By default the kernel keeps a datagram
// that lacks a fragment for 30 s, and takes none any more when such have filled 4 MB: 20 datagrams of 64 KB, since each
// injected frame takes a page. So one overload would block fragments for half a minute.
var reassembly = []struct{ name, value string }{
	{"net.ipv4.ipfrag_high_thresh", "536870912"}, // bytes: as many as a search leaves behind in a second
	{"net.ipv4.ipfrag_time", "1"},                // s, the least
}

// shell runs a command somewhere and returns its output.
type shell func(ctx context.Context, argv ...string) (string, error)

// inside is a place's own network.
func (c *Cell) inside(p subject.Place) shell {
	return func(ctx context.Context, argv ...string) (string, error) {
		return p.Exec(ctx, c.Bed.Cores.Client, argv...)
	}
}

// reassemblers are the networks in which fragments to a place may be put together: the host's too, whose connection
// tracking does so for packets that are bridged.
func (c *Cell) reassemblers(p subject.Place) []shell {
	all := []shell{p.Host.Exec}
	if p.Container != "" {
		all = append(all, c.inside(p))
	}
	return all
}

// withReassembly lets fn run with settings for many fragments, and restores what was set.
func withReassembly(ctx context.Context, where []shell, fn func() error) (failure error) {
	for _, sh := range where {
		for _, s := range reassembly {
			old, err := sh(ctx, "sysctl", "-n", s.name)
			if err != nil {
				return fmt.Errorf("read %s: %w", s.name, err)
			}
			defer func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreLimit)
				defer cancel()
				failure = errors.Join(failure, sh.set(ctx, s.name, old))
			}()
			if err := sh.set(ctx, s.name, s.value); err != nil {
				return err
			}
		}
	}
	return fn()
}

func (sh shell) set(ctx context.Context, name, value string) error {
	if _, err := sh(ctx, "sysctl", "-qw", name+"="+value); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}
