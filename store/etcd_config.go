package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	defaultPrefix      = "/falcon/"
	defaultDialTimeout = 5 * time.Second
	defaultTimeout     = 2 * time.Second
	defaultLease       = 10 * time.Second
)

// EtcdConfig tells how to reach a cluster. Only Endpoints must be given.
type EtcdConfig struct {
	Endpoints    []string // host:port
	CAFile       string   // who signed the servers' certificates; default, when CertFile is given: the system's
	CertFile     string   // this client's certificate, read again for each connection
	KeyFile      string
	User         string
	PasswordFile string // its trailing newline is no part of the password

	Prefix      string        // of all keys; default "/falcon/"
	DialTimeout time.Duration // of one attempt at one endpoint; default 5 s
	Timeout     time.Duration // of one operation; default 2 s
	Lease       time.Duration // for which a key outlives its holder, whole seconds; default 10 s
	Log         logrus.FieldLogger
}

// normalize checks the configuration, sorts out its endpoints and fills in defaults.
func (c EtcdConfig) normalize() (EtcdConfig, error) {
	if len(c.Endpoints) == 0 {
		return c, errors.New("no endpoint is given")
	}
	var err error
	if c.Endpoints, err = parseEndpoints(c.Endpoints); err != nil {
		return c, fmt.Errorf("%w: allowed is host:port", err)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return c, errors.New("--store-cert and --store-key must be given together")
	}
	if (c.User == "") != (c.PasswordFile == "") {
		return c, errors.New("--store-user and --store-password-file must be given together")
	}
	if c.Lease%time.Second != 0 || c.Lease < 0 {
		return c, fmt.Errorf("lease %v: allowed are whole seconds", c.Lease)
	}
	c.Prefix = orDefault(c.Prefix, defaultPrefix)
	c.DialTimeout = orDefault(c.DialTimeout, defaultDialTimeout)
	c.Timeout = orDefault(c.Timeout, defaultTimeout)
	c.Lease = orDefault(c.Lease, defaultLease)
	c.Log = logOrDiscard(c.Log)
	return c, nil
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (c EtcdConfig) secure() bool { return c.CAFile != "" || c.CertFile != "" }

// urls are the endpoints as the client wants them.
func (c EtcdConfig) urls() []string {
	scheme := "http://"
	if c.secure() {
		scheme = "https://"
	}
	urls := make([]string, len(c.Endpoints))
	for i, endpoint := range c.Endpoints {
		urls[i] = scheme + endpoint
	}
	return urls
}

// tls returns nil for a plain connection.
func (c EtcdConfig) tls() (*tls.Config, error) {
	if !c.secure() {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pool, err := readPool(c.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if c.CertFile == "" {
		return config, nil
	}
	if _, err := c.certificate(nil); err != nil {
		return nil, err
	}
	config.GetClientCertificate = c.certificate
	return config, nil
}

// certificate reads the client's certificate, so that a renewed one needs no restart.
func (c EtcdConfig) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read --store-cert %s and --store-key %s: %w", c.CertFile, c.KeyFile, err)
	}
	return &certificate, nil
}

func readPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read --store-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read --store-ca %s: no certificate in PEM form", path)
	}
	return pool, nil
}

// password returns "" when there is no user.
func (c EtcdConfig) password() (string, error) {
	if c.User == "" {
		return "", nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read --store-password-file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", fmt.Errorf("read --store-password-file %s: it is empty", c.PasswordFile)
	}
	return password, nil
}
