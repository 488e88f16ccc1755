package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"falcon/driver"
)

// experimentTimeout bounds what happens between a key and its effect on the screen.
const experimentTimeout = 2 * time.Second

// topExperiment is the mode that this top tries on the daemon.
type topExperiment struct {
	runDir  string
	mine    string    // empty: none was begun here
	changed time.Time // when it began or ended
}

// try begins an experiment; an empty mode ends whichever there is.
func (e *topExperiment) try(ctx context.Context, mode string) (driver.SteeringStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, experimentTimeout)
	defer cancel()
	var s driver.SteeringStatus
	body, err := json.Marshal(driver.SteeringRequest{Mode: &mode})
	if err != nil {
		return s, err
	}
	raw, err := callAPI(ctx, e.runDir, http.MethodPut, driver.SteeringPath, body)
	if err != nil {
		return s, err
	}
	e.mine, e.changed = mode, time.Now()
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("read the daemon's answer: %w: are both of one version?", err)
	}
	return s, nil
}

// lost tells, once, that the experiment which was begun here is over although nobody has ended it here.
func (e *topExperiment) lost(now string) bool {
	if e.mine == "" || e.mine == now {
		return false
	}
	e.mine = ""
	return true
}

// end takes back what was begun here and still goes on, and says so. It works when ctx has ended.
func (e *topExperiment) end(ctx context.Context) (string, error) {
	if e.mine == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), experimentTimeout)
	defer cancel()
	mode := e.mine
	_, now, err := fetchStatus(ctx, e.runDir)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return fmt.Sprintf("the experiment (%s) has ended with the daemon", mode), nil
	}
	if err == nil && now.Steering.Experiment != mode {
		return "", nil // ended by somebody else, or with the daemon
	}
	s, err := e.try(ctx, "")
	if err != nil {
		return "", fmt.Errorf("end experiment %s: %w: it goes on until the daemon restarts, or `falcon top` and r", mode, err)
	}
	return fmt.Sprintf("the experiment (%s) is over: steering is as configured (%s)", mode, s.Mode), nil
}
