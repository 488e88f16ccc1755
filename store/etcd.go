package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Etcd is a Store in an etcd cluster, shared by many hosts. It needs etcd 3.4 or later.
//
// A record's revision is etcd's ModRevision, the store's is the cluster's, so the latter also moves with
// what others write to the cluster.
type Etcd struct {
	config  EtcdConfig
	client  *clientv3.Client
	horizon *horizon
	schema  atomic.Int64 // revision of the schema that was found good; 0 until one was
	log     logrus.FieldLogger

	ctx    context.Context // ends with the store
	cancel context.CancelCauseFunc
	close  func() error
}

var _ Store = (*Etcd)(nil)

// OpenEtcd opens the store in a cluster. A cluster that does not answer is no error: operations say so until
// it does. A bad configuration is one, and so are wrong credentials and a newer schema where the cluster
// answers.
func OpenEtcd(ctx context.Context, config EtcdConfig) (*Etcd, error) {
	config, err := config.normalize()
	if err != nil {
		return nil, fmt.Errorf("open etcd store: %w", err)
	}
	client, err := newClient(config)
	if err != nil {
		return nil, fmt.Errorf("open etcd store: %w", err)
	}
	e := &Etcd{config: config, client: client, log: config.Log.WithField("store", strings.Join(config.Endpoints, ","))}
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	e.horizon = newHorizon(e.ctx)
	e.close = sync.OnceValue(e.release)
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Etcd) start(ctx context.Context) error {
	if e.config.User != "" && !e.config.secure() {
		e.log.Warn("the password travels unencrypted: etcd is used without TLS")
	}
	err := e.ping(ctx, "open etcd store")
	if ctx.Err() == nil && errors.Is(err, ErrUnavailable) {
		e.log.WithError(err).Warn("etcd does not answer; going on without until it does")
		return nil
	}
	return err
}

// ping checks that the cluster answers and has a schema that this release knows.
func (e *Etcd) ping(ctx context.Context, what string) error {
	return e.do(ctx, what, func(ctx context.Context) (int64, error) {
		if _, err := e.ensureSchema(ctx); err != nil {
			return 0, err
		}
		response, err := e.client.Get(ctx, e.key(SchemaKey), clientv3.WithKeysOnly())
		if err != nil {
			return 0, err
		}
		return response.Header.Revision, nil
	})
}

// Get implements Store.
func (e *Etcd) Get(ctx context.Context, key string) (Record, error) {
	if err := checkKey(key); err != nil {
		return Record{}, fmt.Errorf("get: %w", err)
	}
	response, err := e.get(ctx, "get "+key, e.key(key))
	if err != nil {
		return Record{}, err
	}
	if len(response.Kvs) == 0 {
		return Record{}, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	return e.record(response.Kvs[0]), nil
}

// List implements Store.
func (e *Etcd) List(ctx context.Context, prefix string) ([]Record, int64, error) {
	response, err := e.get(ctx, "list "+prefix, e.key(prefix), clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
	if err != nil {
		return nil, 0, err
	}
	var records []Record
	for _, kv := range response.Kvs {
		if record := e.record(kv); record.Key != SchemaKey {
			records = append(records, record)
		}
	}
	return records, response.Header.Revision, nil
}

// Status implements Store.
func (e *Etcd) Status(ctx context.Context) Status {
	status := Status{Kind: backendEtcd, Where: strings.Join(e.config.Endpoints, ","), Cluster: true}
	if err := e.ping(ctx, "status"); err != nil {
		status.Error = err.Error()
	}
	status.Revision, _ = e.horizon.now()
	return status
}

// Close implements Store. Keys that are being kept alive then last for the rest of their lease.
func (e *Etcd) Close() error {
	e.cancel(errClosed)
	return e.close()
}

func (e *Etcd) release() error {
	if err := e.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close etcd store: %w", err)
	}
	return nil
}

func (e *Etcd) get(ctx context.Context, what, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	var response *clientv3.GetResponse
	err := e.do(ctx, what, func(ctx context.Context) (int64, error) {
		_, err := e.ensureSchema(ctx)
		if err != nil {
			return 0, err
		}
		if response, err = e.client.Get(ctx, key, options...); err != nil {
			return 0, err
		}
		return response.Header.Revision, nil
	})
	return response, err
}

// do runs one operation within its time. fn returns the revision of the cluster's last reply.
func (e *Etcd) do(ctx context.Context, what string, fn func(context.Context) (int64, error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := context.Cause(e.ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	attempt, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	attempt, cause := withCause(attempt)
	before, _ := e.horizon.now()
	revision, err := fn(attempt)
	if err != nil {
		return fmt.Errorf("%s: %w", what, e.explain(ctx, err, cause.err))
	}
	if e.horizon.observe(before, revision) {
		e.schema.Store(0) // the new one may have another, or none
		e.log.WithField("revision", revision).Error("etcd has lost its data or was restored from a backup")
	}
	return nil
}

// key is a key's name in the cluster.
func (e *Etcd) key(key string) string { return e.config.Prefix + key }
