package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"falcon/datapath"
	"falcon/driver"
	"falcon/store"
)

// Defaults of directories, which several commands share.
const (
	defaultPluginDir = "/run/docker/plugins"
	defaultStateDir  = "/var/lib/falcon"
	defaultRunDir    = "/run/falcon"
	defaultVXLANPort = 4789 // IANA's, RFC 7348
)

// settings are the flags of `falcon serve`.
type settings struct {
	pluginDir, stateDir, runDir string
	hostRoot                    string
	underlay                    string
	store                       string
	storeCA, storeCert          string
	storeKey                    string
	storeUser                   string
	storePasswordFile           string
	scope                       string
	vxlanPort                   uint16
	cpus                        string
	steering, shortcut, split   string
	shortcutXDP                 string
	metricsAddr                 string
	logLevel, logFormat         string
}

func (s *settings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.pluginDir, "plugin-dir", defaultPluginDir, "directory for the plugin socket, where Docker looks for it; several, separated by commas, have one each")
	f.StringVar(&s.stateDir, "state-dir", defaultStateDir, "directory for what must survive a reboot")
	f.StringVar(&s.runDir, "run-dir", defaultRunDir, "directory for the API socket")
	f.StringVar(&s.hostRoot, "host-root", "", "where the root of the host's file system is seen, in a container or a managed plugin (default: it is falcon's own)")
	f.StringVar(&s.underlay, "underlay", "", "interface or address that carries the overlay's packets (default: the interface of the default route)")
	f.StringVar(&s.store, "store", "bolt", "where networks and endpoints are kept: bolt (one host), or etcd://HOST:PORT[,HOST:PORT] (a cluster)")
	f.StringVar(&s.storeCA, "store-ca", "", "file with the CA certificates of etcd's servers")
	f.StringVar(&s.storeCert, "store-cert", "", "file with the client certificate for etcd")
	f.StringVar(&s.storeKey, "store-key", "", "file with the client certificate's key")
	f.StringVar(&s.storeUser, "store-user", "", "user for etcd")
	f.StringVar(&s.storePasswordFile, "store-password-file", "", "file with the user's password")
	f.StringVar(&s.scope, "scope", "local", "what Docker may use the driver for: local, or global (swarm)")
	f.Uint16Var(&s.vxlanPort, "vxlan-port", defaultVXLANPort, "UDP port of the overlay's packets, the same on all hosts")
	f.StringVar(&s.cpus, "cpus", "", "CPUs for packet processing, such as 2-7,10 (default: all that are online and not isolated)")
	f.StringVar(&s.steering, "steering", "off", "spread packet processing over CPUs: "+strings.Join(driver.SteeringModes, ", "))
	f.StringVar(&s.shortcut, "shortcut", "off", "carry packets past the overlay's devices: "+strings.Join(driver.ShortcutModes, ", "))
	f.StringVar(&s.shortcutXDP, "shortcut-xdp", "off", "with the shortcut, take datagrams at the driver of the underlay's interface, if it has XDP: "+strings.Join(driver.ShortcutModes, ", "))
	f.StringVar(&s.split, "split", "off", "split the first stage of TCP flows where that wins: "+strings.Join(driver.SplitModes, ", "))
	f.StringVar(&s.metricsAddr, "metrics-addr", "", "HOST:PORT for Prometheus metrics, health and readiness; of a PORT or :PORT alone, on the loopback (default: none)")
	f.StringVar(&s.logLevel, "log-level", "info", "error, warn, info or debug")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
}

// flagError says which flag cannot be taken, and what could.
func flagError(flag, value, allowed string) error {
	return fmt.Errorf("--%s=%s: %s", flag, value, allowed)
}

// check judges what can be judged without looking at the host.
func (s *settings) check() error {
	choices := []struct {
		flag, value string
		allowed     []string
	}{
		{"scope", s.scope, []string{"local", "global"}},
		{"steering", s.steering, driver.SteeringModes},
		{"shortcut", s.shortcut, driver.ShortcutModes},
		{"shortcut-xdp", s.shortcutXDP, driver.ShortcutModes},
		{"split", s.split, driver.SplitModes},
		{"log-format", s.logFormat, []string{"text", "json"}},
		{"log-level", s.logLevel, []string{"error", "warn", "info", "debug"}},
	}
	for _, c := range choices {
		if !slices.Contains(c.allowed, c.value) {
			return flagError(c.flag, c.value, "must be one of "+strings.Join(c.allowed, ", "))
		}
	}
	if s.vxlanPort == 0 {
		return flagError("vxlan-port", "0", "must be a number from 1 to 65535")
	}
	if s.metricsAddr != "" {
		if _, port, err := net.SplitHostPort(metricsAddress(s.metricsAddr)); err != nil || !isPort(port) {
			return flagError("metrics-addr", s.metricsAddr, "must be HOST:PORT, or a PORT of the loopback")
		}
	}
	if err := datapath.CheckCPUs(s.cpus); err != nil {
		return flagError("cpus", s.cpus, err.Error())
	}
	if s.shortcutXDP == driver.ShortcutOn && s.split == driver.SplitOn {
		return flagError("shortcut-xdp", s.shortcutXDP, "cannot be with --split=on: a driver takes one XDP program")
	}
	if s.scope == "global" && s.store == "bolt" {
		return flagError("scope", s.scope, "needs a store that the swarm's nodes share: --store etcd://HOST:PORT")
	}
	if err := s.checkDirs(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("serve: must be root, or have CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF and CAP_PERFMON as root does")
	}
	return nil
}

func (s *settings) checkDirs() error {
	for _, dir := range listed(s.pluginDir) {
		if !strings.HasPrefix(dir, "/") {
			return flagError("plugin-dir", s.pluginDir, "must be an absolute path, or several separated by commas")
		}
	}
	for _, dir := range []struct{ flag, value string }{
		{"state-dir", s.stateDir}, {"run-dir", s.runDir}, {"host-root", cmp.Or(s.hostRoot, "/")},
	} {
		if !strings.HasPrefix(dir.value, "/") {
			return flagError(dir.flag, dir.value, "must be an absolute path")
		}
	}
	return nil
}

// listed are the directories that --plugin-dir names.
func listed(pluginDir string) []string { return strings.Split(pluginDir, ",") }

// loopback is where metrics are served unless told otherwise: they tell a stranger much.
const loopback = "127.0.0.1"

// metricsAddress completes what --metrics-addr says.
func metricsAddress(given string) string {
	if isPort(given) {
		return net.JoinHostPort(loopback, given)
	}
	if host, port, err := net.SplitHostPort(given); err == nil && host == "" {
		return net.JoinHostPort(loopback, port)
	}
	return given
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (s *settings) logger() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(os.Stderr)
	if level, err := logrus.ParseLevel(s.logLevel); err == nil { // check has seen to it
		log.SetLevel(level)
	}
	if s.logFormat == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	}
	return log
}

func (s *settings) storeConfig(log *logrus.Logger) store.Config {
	return store.Config{
		Store: s.store, StateDir: s.stateDir,
		CAFile: s.onHost(s.storeCA), CertFile: s.onHost(s.storeCert), KeyFile: s.onHost(s.storeKey),
		User: s.storeUser, PasswordFile: s.onHost(s.storePasswordFile), Log: log,
	}
}

// onHost is where a file that the operator names is seen.
func (s *settings) onHost(file string) string {
	if file == "" {
		return ""
	}
	return filepath.Join(s.hostRoot, file)
}
