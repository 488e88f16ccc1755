package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// errUnchanged ends a transaction whose writes change nothing, without a write to the disk.
var errUnchanged = errors.New("nothing to change")

// Commit implements Store. When ctx ends meanwhile, the commit may still happen.
func (b *Bolt) Commit(ctx context.Context, conditions []Condition, writes []Write) (int64, error) {
	if err := checkCommit(conditions, writes); err != nil {
		return 0, err
	}
	conditions, writes = slices.Clone(conditions), cloneWrites(writes)
	var revision int64
	err := b.run(ctx, func() (err error) {
		revision, err = b.commit(conditions, writes)
		return err
	})
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		return 0, conflict
	}
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return revision, nil
}

// commit runs the transaction and shows it to watchers.
func (b *Bolt) commit(conditions []Condition, writes []Write) (int64, error) {
	if err := b.file.present(); err != nil {
		return 0, err
	}
	var done change
	applied := false
	err := b.file.db.Update(func(tx *bbolt.Tx) (err error) {
		if err := checkConditions(tx, conditions); err != nil {
			return err
		}
		done, err = apply(tx, writes)
		if err == nil && len(done.events) == 0 {
			return errUnchanged
		}
		applied = err == nil
		return err
	})
	switch {
	case errors.Is(err, errUnchanged):
		return done.revision, nil
	case err != nil && applied:
		return 0, errors.Join(err, b.resync())
	case err != nil:
		return 0, err
	}
	b.history.add(done)
	return done.revision, nil
}

// resync follows a transaction that failed while it was written: whether its revision exists is for the
// file to say, and watchers must look.
func (b *Bolt) resync() error {
	return b.file.db.View(func(tx *bbolt.Tx) error {
		revision, err := getRevision(tx)
		if err == nil {
			b.history.reset(revision)
		}
		return err
	})
}

func checkConditions(tx *bbolt.Tx, conditions []Condition) error {
	for _, c := range conditions {
		record, err := getRecord(tx, c.Key)
		if err != nil {
			return err
		}
		if !c.holds(record.Revision) {
			return &ConflictError{Key: c.Key}
		}
	}
	return nil
}

// apply does the writes at the next revision. Where they change nothing it stays at the newest.
func apply(tx *bbolt.Tx, writes []Write) (change, error) {
	newest, err := getRevision(tx)
	if err != nil {
		return change{}, err
	}
	c := change{revision: newest + 1}
	for _, w := range writes {
		event, changed, err := applyWrite(tx, w, c.revision)
		if err != nil {
			return change{}, fmt.Errorf("write %s: %w", w.Key, err)
		}
		if changed {
			c.events = append(c.events, event)
		}
	}
	if len(c.events) == 0 {
		return change{revision: newest}, nil
	}
	return c, putRevision(tx, c.revision)
}

func applyWrite(tx *bbolt.Tx, w Write, revision int64) (event Event, changed bool, err error) {
	records := tx.Bucket([]byte(recordsBucket))
	event = Event{Record: Record{Key: w.Key, Value: w.Value, Revision: revision}, Deleted: w.Value == nil}
	if !event.Deleted {
		return event, true, records.Put([]byte(w.Key), encodeRecord(revision, w.Value))
	}
	if records.Get([]byte(w.Key)) == nil {
		return Event{}, false, nil
	}
	return event, true, records.Delete([]byte(w.Key))
}
