package driver

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"falcon/datapath"
)

// experiment is a mode that a person tries on all networks of this host, whatever they are configured to. It is not stored: one
// that was forgotten ends with the process.
type experiment struct {
	mu    sync.Mutex // guards all below; a leaf
	mode  datapath.Mode
	split string
}

// Settings of splitting.
const (
	SplitOff = "off"
	SplitOn  = "on"
)

// SplitModes are those of --split.
var SplitModes = []string{SplitOff, SplitOn}

// current is the mode that is tried; empty if none is.
func (e *experiment) current() datapath.Mode {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mode
}

func (e *experiment) set(m datapath.Mode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mode = m
}

// currentSplit is the setting of splitting that is tried; empty if none is.
func (e *experiment) currentSplit() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.split
}

func (e *experiment) setSplit(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.split = s
}

// Try steers all networks of this host in a mode, or splits their first stages or does not, until it is told otherwise; an empty
// value is the end of that. The kernel follows at once. Of a request that is wrong in part, nothing is done.
func (d *Driver) Try(r SteeringRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	e := d.reconciler.modes.experiment
	if r.Mode != nil {
		e.set(datapath.Mode(*r.Mode))
		d.log.WithField("mode", *r.Mode).Info("steering experiment (no mode: it is over)")
	}
	if r.Split != nil {
		e.setSplit(*r.Split)
		d.cfg.Datapath.Split(cmp.Or(*r.Split, d.cfg.Split) == SplitOn)
		d.log.WithField("split", *r.Split).Info("splitting experiment (no value: it is over)")
	}
	d.lookAgain()
	return nil
}

// lookAgain has all networks of this host ensured.
func (d *Driver) lookAgain() {
	for _, m := range d.view.memberships(d.host) {
		d.reconciler.markDirty(m.Network)
	}
}

// SteeringPath is where the API takes a SteeringRequest with PUT, and answers with the SteeringStatus that it makes.
const SteeringPath = "/v1/steering"

// SteeringRequest begins an experiment, or ends it.
type SteeringRequest struct {
	Mode  *string `json:"mode,omitempty"`  // one of SteeringModes; empty: as configured
	Split *string `json:"split,omitempty"` // one of SplitModes; likewise
}

// maxCommandRequest is ample, in bytes.
const maxCommandRequest = 1 << 10

// decodeCommand reads JSON that has nothing which is not asked for.
func decodeCommand(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommandRequest))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// putSteering takes a SteeringRequest.
func (d *Driver) putSteering(w http.ResponseWriter, r *http.Request) {
	var request SteeringRequest
	err := decodeCommand(w, r, &request)
	if err == nil && request.Mode == nil && request.Split == nil {
		err = errors.New("no mode")
	}
	if err != nil {
		http.Error(w, fmt.Sprintf(`read request: %v: want {"mode": MODE} with one of %s, {"split": SPLIT} with one of %s, or "" for what is configured`,
			err, strings.Join(SteeringModes, ", "), strings.Join(SplitModes, ", ")), http.StatusBadRequest)
		return
	}
	if err := d.Try(request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, d.steeringStatus(r.Context()))
}

func (r SteeringRequest) check() error {
	if r.Mode != nil && *r.Mode != "" {
		if _, err := datapath.ParseMode(*r.Mode); err != nil {
			return fmt.Errorf("%w, or empty for what is configured", err)
		}
	}
	if r.Split != nil && *r.Split != "" && !slices.Contains(SplitModes, *r.Split) {
		return fmt.Errorf("split %q: must be one of %s, or empty for what is configured", *r.Split, strings.Join(SplitModes, ", "))
	}
	return nil
}

// answer writes JSON.
func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // fails only when the client is gone
}
