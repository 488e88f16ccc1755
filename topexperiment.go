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

// topTrial is what is tried; empty is as configured.
type topTrial struct{ mode, split string }

func trialOf(s driver.SteeringStatus) topTrial { return topTrial{s.Experiment, s.TrySplit} }

func (t topTrial) String() string {
	switch {
	case t.split == "":
		return t.mode
	case t.mode == "":
		return "split " + t.split
	}
	return t.mode + ", split " + t.split
}

// topExperiment is what this top tries on the daemon.
type topExperiment struct {
	runDir  string
	mine    topTrial  // zero: none was begun here
	changed time.Time // when it began or ended
}

// try begins an experiment; a zero one ends whichever there is.
func (e *topExperiment) try(ctx context.Context, t topTrial) (driver.SteeringStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, experimentTimeout)
	defer cancel()
	var s driver.SteeringStatus
	body, err := json.Marshal(driver.SteeringRequest{Mode: &t.mode, Split: &t.split})
	if err != nil {
		return s, err
	}
	raw, err := callAPI(ctx, e.runDir, http.MethodPut, driver.SteeringPath, body)
	if err != nil {
		return s, err
	}
	e.mine, e.changed = t, time.Now()
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("read the daemon's answer: %w: are both of one version?", err)
	}
	return s, nil
}

// lost tells, once, that the experiment which was begun here is over although nobody has ended it here.
func (e *topExperiment) lost(now topTrial) bool {
	if e.mine == (topTrial{}) || e.mine == now {
		return false
	}
	e.mine = topTrial{}
	return true
}

// end takes back what was begun here and still goes on, and says so. It works when ctx has ended.
func (e *topExperiment) end(ctx context.Context) (string, error) {
	if e.mine == (topTrial{}) {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), experimentTimeout)
	defer cancel()
	tried := e.mine
	_, now, err := fetchStatus(ctx, e.runDir)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return fmt.Sprintf("the experiment (%s) has ended with the daemon", tried), nil
	}
	if err == nil && trialOf(now.Steering) != tried {
		return "", nil // ended by somebody else, or with the daemon
	}
	s, err := e.try(ctx, topTrial{})
	if err != nil {
		return "", fmt.Errorf("end experiment %s: %w: it goes on until the daemon restarts, or `falcon top` and r", tried, err)
	}
	return fmt.Sprintf("the experiment (%s) is over: steering is as configured (%s)", tried, s.Mode), nil
}
