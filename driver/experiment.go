package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"falcon/datapath"
)

// experiment is a mode that a person tries on all networks of this host, whatever they are configured to. It is not stored: one
// that was forgotten ends with the process.
type experiment struct {
	mu   sync.Mutex // guards mode; a leaf
	mode datapath.Mode
}

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

// Try steers all networks of this host in a mode until it is told otherwise; an empty mode is the end of that. The kernel
// follows at once.
func (d *Driver) Try(mode string) error {
	if mode != "" {
		if _, err := datapath.ParseMode(mode); err != nil {
			return fmt.Errorf("%w, or empty for what is configured", err)
		}
	}
	d.reconciler.modes.experiment.set(datapath.Mode(mode))
	d.log.WithField("mode", mode).Info("steering experiment (no mode: it is over)")
	for _, m := range d.view.memberships(d.host) {
		d.reconciler.markDirty(m.Network)
	}
	return nil
}

// SteeringPath is where the API takes a SteeringRequest with PUT, and answers with the SteeringStatus that it makes.
const SteeringPath = "/v1/steering"

// SteeringRequest begins an experiment, or ends it.
type SteeringRequest struct {
	Mode *string `json:"mode"` // one of SteeringModes; empty: as configured
}

// maxSteeringRequest is ample, in bytes.
const maxSteeringRequest = 1 << 10

// putSteering takes a SteeringRequest.
func (d *Driver) putSteering(w http.ResponseWriter, r *http.Request) {
	var request SteeringRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSteeringRequest))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&request)
	if err == nil && request.Mode == nil {
		err = errors.New("no mode")
	}
	if err != nil {
		http.Error(w, fmt.Sprintf(`read request: %v: want {"mode": MODE} with one of %s, or "" for what is configured`,
			err, strings.Join(SteeringModes, ", ")), http.StatusBadRequest)
		return
	}
	if err := d.Try(*request.Mode); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, d.steeringStatus(r.Context()))
}

// answer writes JSON.
func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // fails only when the client is gone
}
