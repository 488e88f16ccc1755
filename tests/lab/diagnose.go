package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// questions are the commands that show the state of a host; those of absent programs fail, which shows.
var questions = [][]string{
	{"ip", "-d", "-s", "link"},
	{"ip", "address"},
	{"ip", "route", "show", "table", "all"},
	{"ip", "neigh"},
	{"bridge", "fdb"},
	{"iptables-save", "-c"},
	{"ip6tables-save", "-c"},
	{"nft", "list", "ruleset"},
	{"bpftool", "net"},
	{"ps", "-eo", "pid,ppid,stat,etimes,args"},
	{"findmnt", "--list", "--output", "TARGET,SOURCE,FSTYPE"},
}

// engineQuestions are those of hosts with an engine.
var engineQuestions = [][]string{
	{"docker", "ps", "--all"},
	{"docker", "network", "ls"},
	{"sh", "-c", "docker ps -aq | xargs -r docker inspect"},
	{"sh", "-c", "docker network ls -q | xargs -r docker network inspect"},
}

// Diagnose writes what there is to know about the lab: the state of each host, and all logs.
func (l *Lab) Diagnose(ctx context.Context, w io.Writer) {
	for _, h := range l.Hosts {
		ask := questions
		if h.Engine != nil && h.Engine.Running() {
			ask = append(ask[:len(ask):len(ask)], engineQuestions...)
		}
		if h.Plugin != nil && h.Plugin.Running() {
			ask = append(ask[:len(ask):len(ask)], []string{"falcon", "status"})
		}
		for _, argv := range ask {
			out, err := h.Exec(ctx, argv...)
			section(w, fmt.Sprintf("%s: %s", h.Name, argv), out, err)
		}
	}
	for _, d := range l.daemons() {
		log, err := os.ReadFile(d.Log)
		section(w, d.Log, string(log), err)
	}
}

// SaveReport writes a diagnosis to out/lab/NAME.txt of the module and returns the path.
func (l *Lab) SaveReport(ctx context.Context, name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", fmt.Errorf("save report: %w", err)
	}
	dir := filepath.Join(root, "out", "lab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("save report: %w", err)
	}
	var b bytes.Buffer
	l.Diagnose(ctx, &b)
	file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_")+".txt")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return "", fmt.Errorf("save report: %w", err)
	}
	return file, nil
}

func section(w io.Writer, title, text string, err error) {
	fmt.Fprintf(w, "=== %s\n%s\n", title, text)
	if err != nil {
		fmt.Fprintf(w, "(%v)\n", err)
	}
}

// daemons are all of the lab's.
func (l *Lab) daemons() []*Daemon {
	var ds []*Daemon
	if l.Etcd != nil {
		ds = append(ds, l.Etcd)
	}
	for _, h := range l.Hosts {
		ds = append(ds, h.daemons()...)
	}
	return ds
}
