// Command lab makes a lab to try things in by hand: `lab up` keeps one until it is interrupted, `lab exec`
// runs commands in its hosts meanwhile, as root would type them there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"golang.org/x/sys/unix"

	"falcon/tests/lab"
)

var errUsage = errors.New(`usage:
  lab up [-hosts N] [-mtu N] [-docker=false] [-falcon=false] [-etcd=false]
  lab exec [-lab NAME] HOST COMMAND [ARGUMENT...]`)

func main() {
	err := run(os.Args[1:])
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "up":
		return up(args[1:])
	case "exec":
		return execute(args[1:])
	default:
		return errUsage
	}
}

func up(args []string) error {
	o := lab.Options{Docker: &lab.DockerOptions{}, Falcon: &lab.FalconOptions{}}
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	flags.IntVar(&o.Hosts, "hosts", 2, "number of hosts")
	flags.IntVar(&o.MTU, "mtu", 1500, "MTU of the underlay")
	flags.BoolVar(&o.Etcd, "etcd", true, "an etcd, which joins the falcons")
	docker := flags.Bool("docker", true, "an engine on every host")
	falcon := flags.Bool("falcon", true, "a falcon on every host")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !*docker {
		o.Docker = nil
	}
	if !*falcon {
		o.Falcon = nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	l, err := lab.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("%s is up; logs are in /tmp/%s; Ctrl-C ends it. Hosts, for `lab exec HOST COMMAND`:\n", l.Name, l.Name)
	for _, h := range l.Hosts {
		fmt.Printf("  %s  %s  %s\n", h.Name, h.Addr, h.Addr6)
	}
	<-ctx.Done()
	return l.Close()
}

func execute(args []string) error {
	flags := flag.NewFlagSet("exec", flag.ExitOnError)
	name := flags.String("lab", "", "name of the lab, if there are several")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return errUsage
	}
	cmd, err := lab.Attach(*name, flags.Arg(0), flags.Args()[1:]...)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
