package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"falcon/datapath"
	"falcon/driver"
)

// uninstallation says what is to be taken off a host.
type uninstallation struct {
	pluginDir, stateDir, runDir string
	force, purge                bool
}

func uninstallCommand() *cobra.Command {
	var u uninstallation
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take all that falcon has made out of this host's kernel; the daemon must not run",
		Long: "Takes networks' devices, programs, pinned maps, netfilter's rules and sockets off this host. Stop the daemon first, and remove\n" +
			"the networks from Docker (docker network rm): those that it still has are recreated when a daemon starts.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&u.pluginDir, "plugin-dir", defaultPluginDir, "directory of the plugin socket")
	f.StringVar(&u.stateDir, "state-dir", defaultStateDir, "directory of the state")
	f.StringVar(&u.runDir, "run-dir", defaultRunDir, "directory of the API socket")
	f.BoolVar(&u.force, "force", false, "although containers are attached, which lose their network")
	f.BoolVar(&u.purge, "purge", false, "the state directory too: networks and addresses of a single host, and the host's identity")
	fromEnvironment(cmd)
	return cmd
}

func (u uninstallation) run(ctx context.Context, out io.Writer) error {
	alone, err := driver.LockHost(ctx)
	if err != nil {
		return err
	}
	defer alone.Close()
	dp, err := openDatapath()
	if err != nil {
		return err
	}
	defer dp.Close()
	owned, err := dp.Owned(ctx)
	if err != nil {
		return err
	}
	if len(owned.Endpoints) > 0 && !u.force {
		return fmt.Errorf("uninstall: containers are attached to falcon's networks (%s): stop them or disconnect them, or give --force", networksOf(owned.Endpoints))
	}
	if err := dp.RemoveAll(ctx); err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	if err := u.removeFiles(); err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	fmt.Fprintf(out, "removed %d networks and %d endpoints from the kernel, and falcon's programs, rules and sockets\n", len(owned.Networks), len(owned.Endpoints))
	if !u.purge {
		fmt.Fprintf(out, "%s is left: --purge removes it\n", u.stateDir)
	}
	return nil
}

// shownID is how much of an ID `docker network ls` shows.
const shownID = 12

func networksOf(endpoints []datapath.OwnedEndpoint) string {
	var names []string
	for _, e := range endpoints {
		name := e.Network
		if _, err := hex.DecodeString(name); err == nil && len(name) > shownID { // a network that has no cluster-wide name has Docker's ID
			name = name[:shownID]
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func (u uninstallation) removeFiles() error {
	err := driver.RemoveFiles(u.runDir, listed(u.pluginDir)...)
	if u.runDir == defaultRunDir {
		err = errors.Join(err, driver.RemoveFiles(managedRunDir))
	}
	if u.purge {
		err = errors.Join(err, u.purgeState())
	}
	return err
}

// purgeState removes the state directory, if it is one.
func (u uninstallation) purgeState() error {
	if _, err := os.Stat(u.stateDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(u.stateDir, hostIDFile)); err != nil {
		return fmt.Errorf("purge %s: it is no state directory of falcon's (%w): remove it yourself, or give another --state-dir", u.stateDir, err)
	}
	return os.RemoveAll(u.stateDir)
}
