package main

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"falcon/datapath"
)

// Stamped by the linker (see Makefile).
var (
	version = "dev"
	commit  = "unknown"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and what of the kernel falcon can use",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "falcon %s (commit %s, %s, %s/%s)\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			fmt.Fprintf(out, "kernel %s\n", datapath.KernelRelease())
			for _, f := range slices.Concat(probe(cmd.Context()), probeSteering(cmd.Context(), true), []datapath.Finding{datapath.ProbeShortcut()}) {
				fmt.Fprintf(out, "  %-17s  %s\n", f.Check, found(f.OK))
			}
			return nil
		},
	}
}

func found(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}
