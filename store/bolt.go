package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// errClosed is what operations meet after Close.
var errClosed = fmt.Errorf("%w: closed", ErrUnavailable)

// Bolt is a Store in one file, for one process on one machine.
//
// A file that is deleted or replaced under the process does no harm to it: reads go on from the open file,
// commits fail with ErrUnavailable, since they would vanish with the process, and Status says so. A file
// that turns out corrupt ends every operation, watchers included, with ErrCorrupt.
type Bolt struct {
	file    *boltFile
	history *history
	log     logrus.FieldLogger

	ctx    context.Context // ends with the store; its cause is what operations return then
	cancel context.CancelCauseFunc
	close  func() error
}

var _ Store = (*Bolt)(nil)

// OpenBolt opens the store at path and creates it where there is none, its directory included. A file that
// another process holds is waited for, 2 s at most. Keys that an earlier process kept alive are deleted.
func OpenBolt(ctx context.Context, path string, log logrus.FieldLogger) (*Bolt, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open bolt store: %w", err)
	}
	file, err := openBoltFile(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open bolt store: %w", err)
	}
	b := &Bolt{file: file, log: logOrDiscard(log).WithField("store", path)}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	b.close = sync.OnceValue(b.release)
	if err := b.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open bolt store: %w", err), b.Close())
	}
	return b, nil
}

// start brings the records into the state that a running store has.
func (b *Bolt) start() error {
	var head int64
	err := b.guard(func() error {
		return b.file.db.Update(func(tx *bbolt.Tx) error {
			if err := b.prepare(tx); err != nil {
				return err
			}
			if err := dropAlive(tx); err != nil {
				return err
			}
			var err error
			head, err = getRevision(tx)
			return err
		})
	})
	b.history = newHistory(head, historyCommits, historyBytes)
	return err
}

// prepare creates the buckets of a new file and checks the schema of an old one.
func (b *Bolt) prepare(tx *bbolt.Tx) error {
	if meta := tx.Bucket([]byte(metaBucket)); meta != nil {
		if tx.Bucket([]byte(recordsBucket)) == nil {
			return b.file.corrupt("no records")
		}
		if err := checkSchema(meta.Get([]byte(metaSchema))); err != nil {
			return fmt.Errorf("%s: %w", b.file.path, err)
		}
		return nil
	}
	if name, _ := tx.Cursor().First(); name != nil {
		return b.file.corrupt(fmt.Sprintf("belongs to another program: bucket %q", name))
	}
	for _, name := range []string{recordsBucket, metaBucket} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	if err := putRevision(tx, 0); err != nil {
		return err
	}
	return tx.Bucket([]byte(metaBucket)).Put([]byte(metaSchema), Encode(schema{Version: SchemaVersion}))
}

// dropAlive deletes what an earlier process kept alive and did not live to delete.
func dropAlive(tx *bbolt.Tx) error {
	records, err := listRecords(tx, AlivePrefix)
	if err != nil {
		return err
	}
	writes := make([]Write, len(records))
	for i, r := range records {
		writes[i].Key = r.Key
	}
	_, err = apply(tx, writes)
	return err
}

// Get implements Store.
func (b *Bolt) Get(ctx context.Context, key string) (Record, error) {
	if err := checkKey(key); err != nil {
		return Record{}, fmt.Errorf("get: %w", err)
	}
	var record Record
	err := b.view(ctx, func(tx *bbolt.Tx) (err error) {
		record, err = getRecord(tx, key)
		return err
	})
	if err != nil {
		return Record{}, fmt.Errorf("get %s: %w", key, err)
	}
	if record.Revision == Absent {
		return Record{}, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	return record, nil
}

// List implements Store.
func (b *Bolt) List(ctx context.Context, prefix string) ([]Record, int64, error) {
	var records []Record
	var revision int64
	err := b.view(ctx, func(tx *bbolt.Tx) (err error) {
		if records, err = listRecords(tx, prefix); err != nil {
			return err
		}
		revision, err = getRevision(tx)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", prefix, err)
	}
	return records, revision, nil
}

// Status implements Store.
func (b *Bolt) Status(ctx context.Context) Status {
	status := Status{Kind: backendBolt, Where: b.file.path}
	revision, err := b.revision(ctx)
	if err == nil {
		status.Revision = revision
		err = b.file.present()
	}
	if err != nil {
		status.Error = err.Error()
	}
	return status
}

// Close implements Store. It waits for operations under way.
func (b *Bolt) Close() error {
	b.cancel(errClosed)
	return b.close()
}

func (b *Bolt) release() error {
	if err := b.file.close(context.Cause(b.ctx)); err != nil {
		return fmt.Errorf("close bolt store: %w", err)
	}
	return nil
}

func (b *Bolt) revision(ctx context.Context) (int64, error) {
	var revision int64
	err := b.view(ctx, func(tx *bbolt.Tx) (err error) {
		revision, err = getRevision(tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

func (b *Bolt) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	return b.run(ctx, func() error { return b.file.db.View(fn) })
}

// run calls fn in a goroutine of its own, so that ctx can end the wait for a disk that hangs. What fn
// assigns may be read only when run returned nil.
func (b *Bolt) run(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := context.Cause(b.ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- b.guard(fn) }()
	select {
	case err := <-done:
		return b.explain(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: %s does not answer: %w", ErrUnavailable, b.file.path, ctx.Err())
	}
}

// guard ends the store when fn finds the file corrupt: after a panic bbolt's locks may stay locked, so
// nothing may touch it again.
func (b *Bolt) guard(fn func() error) error {
	err := b.file.guard(fn)
	if errors.Is(err, ErrCorrupt) {
		b.cancel(err)
	}
	return err
}

// explain sorts bbolt's errors into those of the contract.
func (b *Bolt) explain(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return errClosed
	}
	if strings.Contains(err.Error(), b.file.path) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, b.file.path, err)
}
