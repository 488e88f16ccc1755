package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// environmentName is the variable that sets a flag: FALCON_STATE_DIR for --state-dir.
func environmentName(flag string) string {
	return "FALCON_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment lets the environment set each flag of a command that was not given on the command line.
func fromEnvironment(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		f.Usage += fmt.Sprintf(" ($%s)", environmentName(f.Name))
	})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		var failure error
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			value, ok := os.LookupEnv(environmentName(f.Name))
			if !ok || f.Changed || failure != nil {
				return
			}
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				failure = fmt.Errorf("$%s=%q: %w", environmentName(f.Name), value, err)
			}
		})
		return failure
	}
}
