package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// errLeaseLost ends one hold of a key: the cluster was out of reach for longer than the lease.
var errLeaseLost = errors.New("lease ran out")

// KeepAlive implements Store. Each key has a lease of its own.
func (e *Etcd) KeepAlive(ctx context.Context, key string, value []byte) error {
	if err := checkAliveKey(key); err != nil {
		return err
	}
	return holdForever(ctx, e.log, key, func(ctx context.Context) error { return e.hold(ctx, key, value) })
}

// hold attaches the key to a new lease and returns when either is gone. A key that is held already moves
// from its former lease to the new one, so the end of the former does not delete it.
func (e *Etcd) hold(ctx context.Context, key string, value []byte) error {
	lease, err := e.grant(ctx)
	if err != nil {
		return err
	}
	defer e.revoke(ctx, lease)
	revision, err := e.commit(ctx, nil, []Write{{Key: key, Value: nonNil(value)}}, lease)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewals, err := e.client.KeepAlive(ctx, lease)
	if err != nil {
		return e.explain(ctx, err, nil)
	}
	go func() {
		for range renewals { // the client renews by itself, and closes the channel when it cannot
		}
		cancel(errLeaseLost)
	}()
	err = waitDeleted(ctx, e, key, revision)
	if errors.Is(context.Cause(ctx), errLeaseLost) {
		return errLeaseLost
	}
	return err
}

func (e *Etcd) grant(ctx context.Context) (clientv3.LeaseID, error) {
	var lease clientv3.LeaseID
	err := e.do(ctx, "grant lease", func(ctx context.Context) (int64, error) {
		response, err := e.client.Grant(ctx, int64(e.config.Lease/time.Second))
		if err != nil {
			return 0, err
		}
		lease = response.ID
		return response.Revision, nil
	})
	return lease, err
}

// revoke deletes the key when its holder is done. Where that fails, or hold is to begin anew, the lease is
// left to run out.
func (e *Etcd) revoke(ctx context.Context, lease clientv3.LeaseID) {
	if ctx.Err() == nil || e.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if _, err := e.client.Revoke(ctx, lease); err != nil {
		e.log.WithError(fmt.Errorf("revoke lease: %w", err)).Warn("cannot delete a key that was kept alive; it lasts until its lease ends")
	}
}
