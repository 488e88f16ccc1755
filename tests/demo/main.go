// Command demo shows Falcon at work on one machine: two hosts made out of namespaces, each with an engine and
// a falcon of its own, one falcon network across them, traffic, and status. It shows each command as one
// would type it on such a host, and cleans up whatever happens.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"falcon/driver"
	"falcon/tests/lab"
)

// limit is for all of the demo, which takes a few seconds.
const limit = 5 * time.Minute

// network is the name of the overlay on every host: Docker's, and the cluster's.
const network = "demo"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() (failure error) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	d := demo{out: os.Stdout}
	d.title("Two hosts, each with an engine and a falcon, and an etcd that both reach")
	l, err := lab.Start(ctx, lab.Options{
		Hosts:  2,
		Docker: &lab.DockerOptions{},
		Falcon: &lab.FalconOptions{},
		Etcd:   true,
	})
	if err != nil {
		return err
	}
	defer func() {
		failure = errors.Join(failure, l.Close())
		if failure == nil {
			d.title("All of it is gone again")
		}
	}()
	for _, h := range l.Hosts {
		d.say("%s  %v on eth0;  %s", h.Name, h.Addr, strings.Join(h.Plugin.Args()[1:], " "))
	}
	if err := d.show(ctx, l.Hosts); err != nil {
		if file, saved := l.SaveReport(ctx, "demo"); saved == nil && ctx.Err() == nil {
			d.say("\nThe state of both hosts is in %s", file)
		}
		return err
	}
	return nil
}

// demo prints commands and runs them.
type demo struct{ out io.Writer }

func (d demo) show(ctx context.Context, hosts []*lab.Host) error {
	d.title("One network: each host creates it under the same cluster-wide name, and spreads its packets over the cores")
	for _, h := range hosts {
		if _, err := d.run(ctx, h, "docker", "network", "create", "-d", "falcon", "-o", "falcon.network="+network, "-o", "falcon.steering=static",
			"--ipam-driver", "falcon", "--ipam-opt", "falcon.network="+network, network); err != nil {
			return err
		}
	}
	d.title("A container on each")
	for _, h := range hosts {
		if _, err := d.run(ctx, h, "docker", "run", "-d", "--name", onHost(h), "--network", network, "lab"); err != nil {
			return err
		}
	}
	if err := d.traffic(ctx, hosts[0], hosts[1]); err != nil {
		return err
	}
	d.title("What the falcons say")
	for _, h := range hosts {
		if _, err := d.run(ctx, h, "falcon", "status"); err != nil {
			return err
		}
	}
	return nil
}

// onHost names the container of a host.
func onHost(h *lab.Host) string { return "on-" + h.Name }

// traffic pings from one host's container to the other's, and sends in bulk.
func (d demo) traffic(ctx context.Context, from, to *lab.Host) error {
	d.title("From container to container, across the hosts")
	address, err := d.run(ctx, to, "docker", "inspect", "-f", "{{.NetworkSettings.Networks."+network+".IPAddress}}", onHost(to))
	if err != nil {
		return err
	}
	if _, err := d.run(ctx, from, "docker", "exec", onHost(from), "ping", "-c3", "-i0.2", address); err != nil {
		return err
	}
	if _, err := d.run(ctx, to, "docker", "exec", onHost(to), "iperf3", "--server", "--one-off", "--daemon"); err != nil {
		return err
	}
	if err := awaitListener(ctx, to, onHost(to), iperfPort); err != nil {
		return err
	}
	return d.watched(ctx, to, from, "docker", "exec", onHost(from), "iperf3", "--client", address, "--time", "4", "--interval", "0")
}

// watched runs a command on one host and shows, before what it prints, what that does to the packets of another.
func (d demo) watched(ctx context.Context, watcher, h *lab.Host, argv ...string) error {
	d.say("\n%s# %s &", h.Name, quote(argv))
	type result struct {
		out string
		err error
	}
	ended := make(chan result, 1)
	go func() {
		out, err := h.Exec(ctx, argv...)
		ended <- result{out, err}
	}()
	watched := awaitFlow(ctx, watcher)
	if watched == nil {
		_, watched = d.run(ctx, watcher, "falcon", "top", "--once", "--interval", "2s")
	}
	r := <-ended
	d.say("\n%s", r.out)
	return errors.Join(watched, r.err)
}

const iperfPort = 5201

// awaitListener waits until somebody in a container listens on a TCP port.
func awaitListener(ctx context.Context, h *lab.Host, container string, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return lab.Poll(ctx, func(ctx context.Context) error {
		out, err := h.Container(container).Exec(ctx, "netstat", "-ltn")
		if err == nil && !strings.Contains(out, fmt.Sprintf(":%d ", port)) {
			err = fmt.Errorf("nobody listens on port %d in %s", port, container)
		}
		return err
	})
}

// awaitFlow waits until a host's falcon knows of a flow that is in full swing.
func awaitFlow(ctx context.Context, h *lab.Host) error {
	const swing = 10_000 // packets per second
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return lab.Poll(ctx, func(ctx context.Context) error {
		out, err := h.Exec(ctx, "falcon", "status", "--json")
		if err != nil {
			return err
		}
		var status driver.Status
		if err := json.Unmarshal([]byte(out), &status); err != nil {
			return err
		}
		for _, f := range status.Steering.Flows {
			if f.Packets >= swing {
				return nil
			}
		}
		return fmt.Errorf("falcon on %s knows of no flow with %d packets per second", h.Name, swing)
	})
}

func (d demo) title(text string) { fmt.Fprintf(d.out, "\n### %s\n", text) }

func (d demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// run shows a command as typed at a host's prompt, runs it there and shows what it prints.
func (d demo) run(ctx context.Context, h *lab.Host, argv ...string) (string, error) {
	d.say("\n%s# %s", h.Name, quote(argv))
	out, err := h.Exec(ctx, argv...)
	if out != "" {
		d.say("%s", out)
	}
	return out, err
}

// quote joins words as a shell would want them.
func quote(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		if strings.ContainsAny(word, " {}'\"$") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words[i] = word
	}
	return strings.Join(words, " ")
}
