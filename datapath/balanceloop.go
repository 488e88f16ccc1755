package datapath

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"falcon/datapath/balance"
)

// balanceAgain is how long after a failure it is tried again.
const balanceAgain = time.Second

// Balance steers the packets of the networks that are to be, until ctx ends. Programs and masks stay when it does: without
// fresh tables, packets come back to the cores where they come in.
func (d *Datapath) Balance(ctx context.Context) error {
	if d.steer.config.Expected {
		d.tryPrograms(ctx)
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.keepBalancing(ctx) })
	tasks.Go(func() error { return d.keepFollowingCPUs(ctx) })
	return tasks.Wait()
}

func (d *Datapath) keepBalancing(ctx context.Context) error {
	s := d.steer
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
		err := d.balance(ctx)
		d.noteTask(ctx, "balancer", err)
		if err != nil {
			time.AfterFunc(balanceAgain, s.wake)
		}
	}
}

// keepFollowingCPUs notices CPUs that come and go. Without such events, those that went are passed over by RPS.
func (d *Datapath) keepFollowingCPUs(ctx context.Context) error {
	for {
		err := d.watchCPUs(ctx, func() { d.followCPUs(ctx) })
		d.noteTask(ctx, "CPU events", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(balanceAgain):
		}
	}
}

// noteTask keeps what ended a task, unless that was told to end.
func (d *Datapath) noteTask(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	d.steer.mu.Lock()
	defer d.steer.mu.Unlock()
	d.noteSteering(what, err)
}

// balance runs the loop as long as there are programs.
func (d *Datapath) balance(ctx context.Context) error {
	tick := time.NewTicker(balanceInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return d.endBalancer()
		case now := <-tick.C:
			running, err := d.balanceOnce(now)
			if err != nil || !running {
				return errors.Join(err, d.endBalancer())
			}
		}
	}
}

// balanceOnce makes one turn, and tells whether there is anything to balance.
func (d *Datapath) balanceOnce(now time.Time) (running bool, err error) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return false, nil
	}
	if s.balancer == nil {
		s.balancer, err = newBalancer(s.programs, s.line, balance.DefaultSettings, now)
		return err == nil, err
	}
	return true, s.balancer.tick(now)
}

func (d *Datapath) endBalancer() error {
	d.steer.mu.Lock()
	defer d.steer.mu.Unlock()
	return d.restartBalancer()
}
