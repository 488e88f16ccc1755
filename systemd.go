package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
)

// tellSystemd reports to the service manager, if there is one, that requests are taken, that the daemon lives, and that it ends: a unit
// of Type=notify (sd_notify(3)). What cannot be told is logged, and keeps nothing from working.
func tellSystemd(ctx context.Context, log logrus.FieldLogger) {
	tell := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.WithError(err).Warn("cannot reach the service manager")
		}
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("cannot tell how often the service manager wants to hear of the daemon ($WATCHDOG_USEC)")
	}
	tell(daemon.SdNotifyReady)
	defer tell(daemon.SdNotifyStopping)
	if interval <= 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(interval / 2) // as sd_watchdog_enabled(3) recommends
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tell(daemon.SdNotifyWatchdog)
		}
	}
}
