package lab

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// storePrefix begins all of falcon's keys in etcd.
const storePrefix = "/falcon/"

// StoreRecords returns what the lab's etcd has under falcon's keys that begin with prefix, without asking any
// falcon. Keys come as package store has them.
func (l *Lab) StoreRecords(ctx context.Context, prefix string) (map[string][]byte, error) {
	var answer struct {
		KVs []struct{ Key, Value []byte }
	}
	if err := l.askEtcd(ctx, "range", etcdRange{prefix}, &answer); err != nil {
		return nil, err
	}
	records := make(map[string][]byte, len(answer.KVs))
	for _, kv := range answer.KVs {
		records[strings.TrimPrefix(string(kv.Key), storePrefix)] = kv.Value
	}
	return records, nil
}

// DeleteStoreRecords deletes what falcon has in the lab's etcd under keys that begin with prefix; all, with an empty one.
func (l *Lab) DeleteStoreRecords(ctx context.Context, prefix string) error {
	var ignored struct{}
	return l.askEtcd(ctx, "deleterange", etcdRange{prefix}, &ignored)
}

// etcdRange is all of falcon's keys with a prefix.
type etcdRange struct{ prefix string }

// MarshalJSON writes a range as etcd's gateway wants it: from a key to the first one that is beyond the prefix.
func (r etcdRange) MarshalJSON() ([]byte, error) {
	from := storePrefix + r.prefix
	end := []byte(from)
	end[len(end)-1]++ // the last byte is printable, so there is a next one
	return json.Marshal(map[string]string{
		"key":       base64.StdEncoding.EncodeToString([]byte(from)),
		"range_end": base64.StdEncoding.EncodeToString(end),
	})
}

// askEtcd makes a request of etcd's JSON gateway, for which no other program is needed.
func (l *Lab) askEtcd(ctx context.Context, method string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://etcd/v3/kv/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := l.etcdHost.HTTPClient("tcp", "127.0.0.1:2379").Do(req)
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask etcd: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask etcd: %s: %s", res.Status, content)
	}
	return json.Unmarshal(content, answer)
}
