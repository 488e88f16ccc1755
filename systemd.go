package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// startPatience is how long the service manager, and with it the engine, waits for a store that does not answer.
const startPatience = 10 * time.Second

// tellSystemd reports to the service manager, if there is one, that the daemon is ready, that it lives, and that it ends: a unit
// of Type=notify (sd_notify(3)). One that is not ready after a while is started all the same: it answers requests, and says what it lacks.
// What cannot be told is logged, and keeps nothing from working.
func tellSystemd(ctx context.Context, ready <-chan struct{}, patience time.Duration, log logrus.FieldLogger) {
	tell := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.WithError(err).Warn("cannot reach the service manager")
		}
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("cannot tell how often the service manager wants to hear of the daemon ($WATCHDOG_USEC)")
	}
	defer tell(daemon.SdNotifyStopping)
	late := time.After(patience)
	var alive <-chan time.Time
	if interval > 0 {
		tick := time.NewTicker(interval / 2) // as sd_watchdog_enabled(3) recommends
		defer tick.Stop()
		alive = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ready:
			tell(daemon.SdNotifyReady + "\nSTATUS=ready")
			ready, late = nil, nil
		case <-late:
			tell(daemon.SdNotifyReady + "\nSTATUS=the store has not been read yet: see falcon status")
			late = nil
		case <-alive:
			tell(daemon.SdNotifyWatchdog)
		}
	}
}
