package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/sirupsen/logrus"
)

// boltFileName is the store's file in the state directory.
const boltFileName = "falcon.db"

// Config is what the flags of the daemon say about its store.
type Config struct {
	Store        string // --store
	StateDir     string // --state-dir
	CAFile       string // --store-ca
	CertFile     string // --store-cert
	KeyFile      string // --store-key
	User         string // --store-user
	PasswordFile string // --store-password-file
	Log          logrus.FieldLogger
}

// Open opens the store that the flags name. Its errors name the flag that is wrong.
func Open(ctx context.Context, config Config) (Store, error) {
	target, err := ParseTarget(config.Store)
	if err != nil {
		return nil, err
	}
	if len(target.Endpoints) > 0 {
		return openTarget(OpenEtcd(ctx, config.etcd(target)))
	}
	if err := config.checkBolt(); err != nil {
		return nil, err
	}
	return openTarget(OpenBolt(ctx, filepath.Join(config.StateDir, boltFileName), config.Log))
}

// openTarget keeps a nil pointer from becoming a Store that is not nil.
func openTarget[S Store](s S, err error) (Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// checkBolt refuses flags that would have no effect.
func (c Config) checkBolt() error {
	if slices.ContainsFunc([]string{c.CAFile, c.CertFile, c.KeyFile, c.User, c.PasswordFile},
		func(s string) bool { return s != "" }) {
		return fmt.Errorf("--store %q takes no --store-ca, --store-cert, --store-key, --store-user or --store-password-file: they are for etcd",
			c.Store)
	}
	if c.StateDir == "" {
		return fmt.Errorf("--store %q needs a --state-dir", c.Store)
	}
	return nil
}

func (c Config) etcd(target Target) EtcdConfig {
	return EtcdConfig{
		Endpoints:    target.Endpoints,
		CAFile:       c.CAFile,
		CertFile:     c.CertFile,
		KeyFile:      c.KeyFile,
		User:         c.User,
		PasswordFile: c.PasswordFile,
		Log:          c.Log,
	}
}
