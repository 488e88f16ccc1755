package subject

import (
	"context"
	"strconv"
	"time"

	"falcon/tests/lab"
)

// Start runs a program of this machine in the place's network, on one core, for no longer than limit and ctx last. It is
// in the container's network namespace only: what its image or cgroup would add is not what is measured.
func (p Place) Start(ctx context.Context, limit time.Duration, cpu int, argv ...string) (*lab.Process, error) {
	return p.Host.Start(ctx, limit, p.command(cpu, argv)...)
}

// Exec is Start that waits, and returns the output.
func (p Place) Exec(ctx context.Context, cpu int, argv ...string) (string, error) {
	return p.Host.Exec(ctx, p.command(cpu, argv)...)
}

// command puts in front of a program what becomes it: the process's number is the program's.
func (p Place) command(cpu int, argv []string) []string {
	argv = append([]string{"taskset", "--cpu-list", strconv.Itoa(cpu)}, argv...)
	if p.Sandbox != "" {
		argv = append([]string{"nsenter", "--net=" + p.Sandbox}, argv...)
	}
	return argv
}
