package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"falcon/datapath"
	"falcon/driver"
	"falcon/ipam"
	"falcon/store"
)

func serveCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the plugin: driver, IPAM, reconciler and the API for the other commands",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			return serve(cmd.Context(), s)
		},
	}
	s.flags(cmd.Flags())
	fromEnvironment(cmd)
	return cmd
}

// serve assembles the daemon and runs it until ctx ends or a part of it fails.
func serve(ctx context.Context, s settings) (failure error) {
	log := s.logger()
	if datapath.KernelTooOld() {
		log.WithField("kernel", datapath.KernelRelease()).Warn("falcon is made for Linux " + datapath.OldestKernel + " and later: falcon doctor tells what does not work here")
	}
	var closers []func() error
	defer func() {
		for i := len(closers) - 1; i >= 0; i-- {
			failure = errors.Join(failure, closers[i]())
		}
	}()

	lock, err := driver.Lock(s.runDir)
	if err != nil {
		return err
	}
	closers = append(closers, lock.Close)
	alone, err := driver.LockHost(ctx)
	if err != nil {
		return err
	}
	closers = append(closers, alone.Close, func() error { return driver.RemoveFiles(s.runDir) }) // while nobody else can have made some
	host, err := hostID(s.stateDir)
	if err != nil {
		return err
	}
	steering := datapath.SteeringConfig{
		CPUs: s.cpus, Port: s.vxlanPort, Split: s.split == driver.SplitOn, Expected: s.steering != string(datapath.Off)}
	dp, err := datapath.Open(datapath.Config{
		Steering: steering, Shortcut: datapath.ShortcutConfig{Port: s.vxlanPort, Early: s.shortcutXDP == driver.ShortcutOn}, HostRoot: s.hostRoot, Log: log})
	if err != nil {
		return err
	}
	closers = append(closers, dp.Close, func() error { return leaveNothing(dp) })
	intent, err := store.Open(ctx, s.storeConfig(log))
	if err != nil {
		return err
	}
	closers = append(closers, intent.Close)
	pools, err := ipam.New(ipam.Config{Store: intent, HostID: host, Routes: reachable{dp, resolvConf}, Log: log})
	if err != nil {
		return err
	}
	d, err := newDriver(ctx, s, host, intent, dp, pools, log)
	if err != nil {
		return err
	}
	return run(ctx, s, d, ipam.NewDriver(pools), log)
}

// leavePatience is for a daemon that ends to take a few rules out of the kernel.
const leavePatience = 5 * time.Second

// leaveNothing is for the end of the daemon: where no network is, nothing of ours has to stay in the kernel for packets to go on. A managed
// plugin that is removed has no other occasion.
func leaveNothing(dp *datapath.Datapath) error {
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	owned, err := dp.Owned(ctx)
	if err != nil || len(owned.Networks)+len(owned.Endpoints) > 0 {
		return err
	}
	return dp.RemoveAll(ctx)
}

func newDriver(ctx context.Context, s settings, host string, intent store.Store, dp *datapath.Datapath, pools *ipam.Pools, log *logrus.Logger) (*driver.Driver, error) {
	engine, err := driver.NewDockerEngine(os.Getenv("DOCKER_HOST"))
	if err != nil {
		return nil, err
	}
	name, err := hostName(s.hostRoot)
	if err != nil {
		return nil, err
	}
	return driver.New(ctx, driver.Config{
		HostID: host, HostName: name, Version: version,
		Store: intent, Datapath: dp, Pools: pools, Engine: engine,
		Underlay: s.underlay, Port: s.vxlanPort,
		Steering: datapath.Mode(s.steering), Shortcut: s.shortcut, Split: s.split, Log: log,
	})
}

// run opens the sockets and runs the tasks. Docker may call before the store has been read: its requests wait.
func run(ctx context.Context, s settings, d *driver.Driver, addresses *ipam.Driver, log *logrus.Logger) error {
	api, err := driver.Listen(ctx, filepath.Join(s.runDir, driver.APISocket))
	if err != nil {
		return err
	}
	defer closeQuietly(api)
	var plugin []net.Listener
	for _, dir := range listed(s.pluginDir) {
		l, err := driver.Listen(ctx, filepath.Join(dir, driver.PluginSocket))
		if err != nil {
			return err
		}
		defer closeQuietly(l)
		plugin = append(plugin, l)
	}
	handler := driver.NewHandler(d, addresses, s.scope, log)
	others := []driver.Service{{Listener: api, Handler: driver.NewAPI(d)}}
	if s.metricsAddr != "" {
		var config net.ListenConfig
		metrics, err := config.Listen(ctx, "tcp", metricsAddress(s.metricsAddr))
		if err != nil {
			return fmt.Errorf("listen for --metrics-addr=%s: %w", s.metricsAddr, err)
		}
		defer closeQuietly(metrics)
		others = append(others, driver.Service{Listener: metrics, Handler: driver.NewMetrics(d, handler.Requests)})
	}

	tasks, ctx := errgroup.WithContext(ctx)
	served := make(chan struct{})
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tasks.Go(func() error {
		defer close(served)
		return driver.Serve(ctx, plugin, handler, others...)
	})
	tasks.Go(func() error { return d.Run(background) })
	tasks.Go(func() error { tellSystemd(ctx, d.Ready(), startPatience, log); return nil })
	tasks.Go(func() error { // what answers requests needs the driver until the last one is answered
		<-served
		stop()
		return nil
	})
	tasks.Go(func() error {
		select {
		case <-d.Ready():
			log.WithField("version", version).Info("falcon is ready")
		case <-ctx.Done():
		}
		return nil
	})
	return tasks.Wait()
}

// closeQuietly is for listeners that a regular end has closed already.
func closeQuietly(l net.Listener) { _ = l.Close() }

// resolvConf names the name servers of this host.
const resolvConf = "/etc/resolv.conf"

const hostIDFile = "host-id"

// hostID returns the identity of this host in the store, made at the first start. It is not the machine's: two hosts
// cloned from one image must not be one.
func hostID(stateDir string) (string, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return "", fmt.Errorf("make state directory: %w", err)
	}
	path := filepath.Join(stateDir, hostIDFile)
	content, err := os.ReadFile(path)
	if err == nil {
		if id := strings.TrimSpace(string(content)); driver.NetworkNames.MatchString(id) {
			return id, nil
		}
		return "", fmt.Errorf("read %s: not a host ID: delete the file, and a new one will be made", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read host ID: %w", err)
	}
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails (crypto/rand, since Go 1.24)
	id := hex.EncodeToString(raw)
	aside := path + ".new"
	if err := os.WriteFile(aside, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write host ID: %w", err)
	}
	if err := os.Rename(aside, path); err != nil {
		return "", fmt.Errorf("write host ID: %w", err)
	}
	return id, nil
}
