package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// resumePause keeps a watch that the cluster ends again and again, for want of a leader, from spinning.
const resumePause = 100 * time.Millisecond

// Watch implements Store.
func (e *Etcd) Watch(ctx context.Context, prefix string, revision int64, fn func(revision int64, events []Event)) error {
	what := "watch " + prefix
	_, era := e.horizon.now()
	if err := e.ping(ctx, what); err != nil {
		return err
	}
	if newest, _ := e.horizon.now(); revision > newest {
		return fmt.Errorf("%s: %w", what, futureError(revision, newest))
	}
	w := &etcdWatch{etcd: e, prefix: prefix, next: revision + 1, fn: fn}
	if err := w.run(ctx, era); ctx.Err() == nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return ctx.Err()
}

// etcdWatch is one watch with its place in the history.
type etcdWatch struct {
	etcd   *Etcd
	prefix string
	next   int64 // first revision not delivered
	fn     func(int64, []Event)
}

// run follows the history until ctx or its era ends. The client resumes by itself after most outages; this
// loop does where it gives up: when the cluster has no leader, or the token has expired.
func (w *etcdWatch) run(ctx context.Context, era context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(era, func() { cancel(context.Cause(era)) })()
	for {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !isAny(err, resumableErrors()) {
			return w.etcd.explain(ctx, err, nil)
		}
		if err := pause(ctx, resumePause); err != nil {
			return context.Cause(ctx)
		}
	}
}

// follow delivers events until the client ends its watch. It has a watcher, thus a stream, of its own: a
// stream keeps the token with which it was opened, which expires, and only Close releases a stream that was
// never established.
func (w *etcdWatch) follow(ctx context.Context) error {
	watcher := clientv3.NewWatcher(w.etcd.client)
	defer watcher.Close()
	// Without a leader the server may be cut off from the cluster, and would tell nothing for ever.
	responses := watcher.Watch(clientv3.WithRequireLeader(ctx), w.etcd.key(w.prefix),
		clientv3.WithPrefix(), clientv3.WithRev(w.next))
	for response := range responses {
		if err := response.Err(); err != nil {
			return textError(err)
		}
		w.deliver(ctx, response.Events)
	}
	return nil
}

// deliver splits events by revision. The server never splits a revision over two responses.
func (w *etcdWatch) deliver(ctx context.Context, events []*clientv3.Event) {
	for len(events) > 0 && ctx.Err() == nil {
		revision := events[0].Kv.ModRevision
		n := 1
		for n < len(events) && events[n].Kv.ModRevision == revision {
			n++
		}
		if batch := w.batch(events[:n]); len(batch) > 0 {
			w.fn(revision, batch)
		}
		w.next = revision + 1
		events = events[n:]
	}
}

func (w *etcdWatch) batch(events []*clientv3.Event) []Event {
	batch := make([]Event, 0, len(events))
	for _, event := range events {
		record := w.etcd.record(event.Kv)
		if record.Key == SchemaKey {
			continue
		}
		deleted := event.Type == mvccpb.DELETE
		if deleted {
			record.Value = nil
		}
		batch = append(batch, Event{Record: record, Deleted: deleted})
	}
	return batch
}

// record translates a key of the cluster. The wire does not tell an empty value from none.
func (e *Etcd) record(kv *mvccpb.KeyValue) Record {
	return Record{
		Key:      strings.TrimPrefix(string(kv.Key), e.config.Prefix),
		Value:    nonNil(kv.Value),
		Revision: kv.ModRevision,
	}
}
