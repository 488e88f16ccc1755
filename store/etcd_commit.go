package store

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Commit implements Store. An error that matches ErrUnavailable leaves open whether the commit happened.
func (e *Etcd) Commit(ctx context.Context, conditions []Condition, writes []Write) (int64, error) {
	return e.commit(ctx, conditions, writes, clientv3.NoLease)
}

// commit is Commit with a lease for what is written.
func (e *Etcd) commit(ctx context.Context, conditions []Condition, writes []Write, lease clientv3.LeaseID) (int64, error) {
	if err := checkCommit(conditions, writes); err != nil {
		return 0, err
	}
	var outcome commitOutcome
	err := e.do(ctx, "commit", func(ctx context.Context) (int64, error) {
		for {
			schema, err := e.ensureSchema(ctx)
			if err != nil {
				return 0, err
			}
			if outcome, err = e.try(ctx, schema, conditions, writes, lease); err != nil {
				return 0, err
			}
			if !outcome.schemaMoved {
				return outcome.revision, nil
			}
			// Nothing was written. Somebody has upgraded or replaced the store: look again.
			e.schema.CompareAndSwap(schema, 0)
		}
	})
	if err != nil {
		return 0, err
	}
	if outcome.conflict != nil {
		return 0, outcome.conflict
	}
	return outcome.revision, nil
}

// commitOutcome is what an answered transaction did.
type commitOutcome struct {
	revision    int64
	conflict    *ConflictError
	schemaMoved bool
}

// try runs the transaction, on the further condition that the schema still is the one that was checked: a
// release that does not know the store's layout must not write to it, however long it has been running.
func (e *Etcd) try(ctx context.Context, schema int64, conditions []Condition, writes []Write, lease clientv3.LeaseID) (commitOutcome, error) {
	conditions = append([]Condition{{Key: SchemaKey, Revision: schema}}, conditions...)
	compares := make([]clientv3.Cmp, len(conditions))
	lookups := make([]clientv3.Op, len(conditions))
	for i, c := range conditions {
		compares[i] = e.compare(c)
		lookups[i] = clientv3.OpGet(e.key(c.Key), clientv3.WithKeysOnly())
	}
	response, err := e.client.Txn(ctx).If(compares...).Then(e.operations(writes, lease)...).Else(lookups...).Commit()
	if err != nil {
		return commitOutcome{}, err
	}
	outcome := commitOutcome{revision: response.Header.Revision}
	if response.Succeeded {
		return outcome, nil
	}
	outcome.conflict = findConflict(conditions, response)
	outcome.schemaMoved = outcome.conflict.Key == SchemaKey
	return outcome, nil
}

func (e *Etcd) compare(c Condition) clientv3.Cmp {
	key := e.key(c.Key)
	switch c.Revision {
	case Absent:
		return clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	case Present:
		return clientv3.Compare(clientv3.CreateRevision(key), ">", 0)
	}
	return clientv3.Compare(clientv3.ModRevision(key), "=", c.Revision)
}

func (e *Etcd) operations(writes []Write, lease clientv3.LeaseID) []clientv3.Op {
	operations := make([]clientv3.Op, len(writes))
	for i, w := range writes {
		if w.Value == nil {
			operations[i] = clientv3.OpDelete(e.key(w.Key))
			continue
		}
		operations[i] = clientv3.OpPut(e.key(w.Key), string(w.Value), clientv3.WithLease(lease))
	}
	return operations
}

// findConflict looks for the first condition that did not hold in what the failed transaction read.
func findConflict(conditions []Condition, response *clientv3.TxnResponse) *ConflictError {
	for i, c := range conditions {
		revision := Absent
		if kvs := response.Responses[i].GetResponseRange().Kvs; len(kvs) > 0 {
			revision = kvs[0].ModRevision
		}
		if !c.holds(revision) {
			return &ConflictError{Key: c.Key}
		}
	}
	return &ConflictError{}
}
