package lab

import (
	"context"
	"time"
)

// Container is a container of a host, by name.
type Container struct {
	Name string
	host *Host
}

// Container names a container, whether it exists or not.
func (h *Host) Container(name string) Container { return Container{Name: name, host: h} }

// RunContainer starts a container of the lab's image that does nothing, for Exec. The arguments are of
// `docker run`.
func (h *Host) RunContainer(ctx context.Context, name string, args ...string) (Container, error) {
	run := append([]string{"run", "--detach", "--name", name, "--hostname", name}, args...)
	_, err := h.Docker(ctx, append(run, ImageName)...)
	return h.Container(name), err
}

// Exec runs a command in the container and returns its output.
func (c Container) Exec(ctx context.Context, argv ...string) (string, error) {
	return c.host.Docker(ctx, append([]string{"exec", c.Name}, argv...)...)
}

// Start runs a command in the container in the background for no longer than limit and ctx last. Only the
// client is sure to end then: a server should have a limit of its own, like iperf3's --one-off.
func (c Container) Start(ctx context.Context, limit time.Duration, argv ...string) (*Process, error) {
	return c.host.Start(ctx, limit, append([]string{"docker", "exec", c.Name}, argv...)...)
}

// Inspect returns what a Go template makes of the container, as by `docker inspect --format`.
func (c Container) Inspect(ctx context.Context, format string) (string, error) {
	return c.host.Docker(ctx, "inspect", "--format", format, c.Name)
}

// Remove removes the container, running or not.
func (c Container) Remove(ctx context.Context) error {
	_, err := c.host.Docker(ctx, "rm", "--force", "--volumes", c.Name)
	return err
}
