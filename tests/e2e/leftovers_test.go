package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"falcon/store"
	"falcon/tests/lab"
)

// link is a device as `ip -j -d link` shows it.
type link struct {
	Name     string `json:"ifname"`
	MTU      int    `json:"mtu"`
	MAC      string `json:"address"`
	Alias    string `json:"ifalias"`
	LinkInfo struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
}

// links are the devices of a host.
func links(ctx context.Context, h *lab.Host) ([]link, error) {
	out, err := h.Exec(ctx, "ip", "-j", "-d", "link")
	if err != nil {
		return nil, err
	}
	var all []link
	return all, json.Unmarshal([]byte(out), &all)
}

// isOurs tells falcon's devices by their names.
func (l link) isOurs() bool {
	return slices.ContainsFunc([]string{"fbr-", "fvx-", "fp-", "fc-"}, func(prefix string) bool {
		return strings.HasPrefix(l.Name, prefix)
	})
}

// ownDevices are those of falcon, and every veth, for an idle host has none.
func ownDevices(ctx context.Context, h *lab.Host) ([]string, error) {
	all, err := links(ctx, h)
	var found []string
	for _, l := range all {
		if l.isOurs() || l.LinkInfo.Kind == "veth" && l.Name != "eth0" {
			found = append(found, l.Name)
		}
	}
	return found, err
}

// intent are the records in the lab's store but for those that hosts have as long as they live, and the one that
// guards the choice of default subnets, which stays when it was made.
func intent(ctx context.Context, l *lab.Lab) (map[string][]byte, error) {
	records, err := storeRecords(ctx, l)
	maps.DeleteFunc(records, func(key string, _ []byte) bool {
		return key == "schema" || key == "scopes/@" || strings.HasPrefix(key, "hosts/") || strings.HasPrefix(key, "alive/")
	})
	return records, err
}

func storeRecords(ctx context.Context, l *lab.Lab) (map[string][]byte, error) {
	if l.Etcd != nil {
		return l.StoreRecords(ctx, "")
	}
	return boltRecords(ctx, l.Hosts[0])
}

// boltRecords are those of a host's own store. They are read from a copy, for falcon has the file locked.
func boltRecords(ctx context.Context, h *lab.Host) (map[string][]byte, error) {
	file, err := h.Exec(ctx, "base64", "/var/lib/falcon/falcon.db")
	if err != nil {
		return nil, err
	}
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(file, "\n", ""))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "copy.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, err
	}
	s, err := store.OpenBolt(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	list, _, err := s.List(ctx, "")
	records := make(map[string][]byte, len(list))
	for _, r := range list {
		records[r.Key] = r.Value
	}
	return records, err
}

// leavesNothing checks that the lab is as before the test: what a test makes is removed by then.
func (f *fixture) leavesNothing() {
	err := await(10*time.Second, func(ctx context.Context) error {
		if err := f.onHosts(func(h *lab.Host) error { return hostLeft(ctx, h) }); err != nil {
			return err
		}
		records, err := intent(ctx, f.Lab)
		if err == nil && len(records) > 0 {
			err = fmt.Errorf("left in the store: %q", slices.Sorted(maps.Keys(records)))
		}
		return err
	})
	if err != nil {
		f.t.Error("something is left after the test:", err)
	}
}

func hostLeft(ctx context.Context, h *lab.Host) error {
	devices, err := ownDevices(ctx, h)
	if err != nil {
		return err
	}
	if len(devices) > 0 {
		return fmt.Errorf("devices %q", devices)
	}
	for _, what := range []struct{ name, command string }{
		{"containers", "docker ps --all --quiet"},
		{"networks", "docker network ls --quiet --filter driver=falcon"},
		// Those of devices that are gone are gone with them.
		{"FDB entries", "bridge fdb show | grep -E 'fbr-|fvx-|fp-' || true"},
		{"neighbours", "ip neigh show nud all | grep -E 'fbr-|fvx-|fp-' || true"},
		{"routes", "ip route show table all | grep -E 'fbr-|fvx-|fp-' || true"},
	} {
		out, err := h.Exec(ctx, "sh", "-c", what.command)
		if err != nil {
			return err
		}
		if out != "" {
			return fmt.Errorf("%s: %s", what.name, out)
		}
	}
	return nil
}
