package lab

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// FalconOptions say how the hosts' falcon runs.
type FalconOptions struct {
	Binary string   // `falcon`; bin/falcon of the module when empty
	Args   []string // further arguments of `falcon serve`
}

// complete finds the binary.
func (o *FalconOptions) complete() error {
	if o.Binary == "" {
		root, err := moduleRoot()
		if err != nil {
			return err
		}
		o.Binary = filepath.Join(root, "bin", "falcon")
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return fmt.Errorf("%w: make build", err)
	}
	return nil
}

// shortcutEnv, set to on or off in the environment of tests, is what their hosts' falcon is told unless they say otherwise: a
// whole suite can be run either way.
const shortcutEnv = "LAB_SHORTCUT"

// newPlugin prepares the host's `falcon serve`.
func newPlugin(h *Host, o FalconOptions) *Daemon {
	argv := []string{"falcon", "serve", "--underlay", "eth0"}
	if mode := os.Getenv(shortcutEnv); mode != "" {
		argv = append(argv, "--shortcut", mode)
	}
	if h.lab.options.Etcd {
		argv = append(argv, "--store", "etcd://"+h.lab.EtcdAddr())
	}
	plugin := h.HTTPClient("unix", "/run/docker/plugins/falcon.sock")
	api := h.HTTPClient("unix", "/run/falcon/api.sock")
	ready := func(ctx context.Context) error {
		if err := expectOK(ctx, plugin, http.MethodPost, "http://falcon/Plugin.Activate"); err != nil {
			return err
		}
		return expectOK(ctx, api, http.MethodGet, "http://falcon/v1/status")
	}
	return newDaemon(h, "falcon", ready, append(argv, o.Args...)...)
}

// Falcon runs a command of the host's falcon, such as status, and returns its output.
func (h *Host) Falcon(ctx context.Context, args ...string) (string, error) {
	return h.Exec(ctx, append([]string{"falcon"}, args...)...)
}

// moduleRoot is the directory of the go.mod above the working directory.
func moduleRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find go.mod above %s: none", wd)
		}
	}
}
