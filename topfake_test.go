package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"falcon/driver"
)

// fakeDaemon answers as the daemon's API does.
type fakeDaemon struct {
	dir string

	mu         sync.Mutex // guards all below
	server     *http.Server
	looks      int
	experiment topTrial
	tried      []string
}

func newFakeDaemon(t *testing.T) *fakeDaemon {
	t.Helper()
	d := &fakeDaemon{dir: t.TempDir()}
	d.start(t)
	t.Cleanup(d.stop)
	return d
}

func (d *fakeDaemon) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(d.dir, driver.APISocket))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+driver.StatusPath, d.status)
	mux.HandleFunc("PUT "+driver.SteeringPath, d.steer)
	server := &http.Server{Handler: mux}
	d.mu.Lock()
	d.server = server
	d.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

// stop is how a daemon ends: an experiment does not outlive it.
func (d *fakeDaemon) stop() {
	d.mu.Lock()
	server := d.server
	d.experiment = topTrial{}
	d.mu.Unlock()
	server.Close()
}

func (d *fakeDaemon) status(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, after := busyHost(2)
	s := before.status
	if d.looks++; d.looks%2 == 0 {
		s = after.status
	}
	s.Steering.Experiment, s.Steering.TrySplit = d.experiment.mode, d.experiment.split
	_ = json.NewEncoder(w).Encode(s)
}

func (d *fakeDaemon) steer(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var request driver.SteeringRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Mode == nil || request.Split == nil {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	d.experiment = topTrial{*request.Mode, *request.Split}
	d.tried = append(d.tried, d.experiment.String())
	_ = json.NewEncoder(w).Encode(driver.SteeringStatus{Mode: "dynamic", Experiment: d.experiment.mode, TrySplit: d.experiment.split})
}

func (d *fakeDaemon) log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%q", d.tried)
}
