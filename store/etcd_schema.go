package store

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ensureSchema returns the revision of the schema's key, having checked its value, once, and having created
// it in a cluster that is new.
func (e *Etcd) ensureSchema(ctx context.Context) (int64, error) {
	if revision := e.schema.Load(); revision != 0 {
		return revision, nil
	}
	key := e.key(SchemaKey)
	response, err := e.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(Encode(schema{Version: SchemaVersion})))).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return 0, err
	}
	revision := response.Header.Revision
	if !response.Succeeded {
		kv := response.Responses[0].GetResponseRange().Kvs[0]
		if err := checkSchema(kv.Value); err != nil {
			return 0, err
		}
		revision = kv.ModRevision
	}
	e.schema.Store(revision)
	return revision, nil
}
