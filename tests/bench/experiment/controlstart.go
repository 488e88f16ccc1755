package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"falcon/tests/lab"
)

// timeStart restarts the daemon, first with its devices there, then with all of them gone as after a reboot, until the
// store has been read and the kernel follows it.
func (b *protocolBed) timeStart(ctx context.Context, at int) error {
	h := b.hosts[0]
	for _, c := range []struct {
		metric string
		wipe   bool
	}{{"start, devices there", false}, {"start, devices to restore", true}} {
		if err := h.Plugin.Stop(ctx); err != nil {
			return err
		}
		if c.wipe {
			if err := wipe(ctx, h); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := h.Plugin.Start(ctx); err != nil {
			return err
		}
		if err := lab.Poll(ctx, func(ctx context.Context) error { return settled(ctx, h) }); err != nil {
			return err
		}
		b.note(at, c.metric, "s", time.Since(began).Seconds())
	}
	return nil
}

// settled tells whether the daemon has read the store and brought the kernel in line.
func settled(ctx context.Context, h *lab.Host) error {
	raw, err := h.Falcon(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var status struct{ Ready bool }
	if err := json.Unmarshal([]byte(raw), &status); err != nil {
		return err
	}
	if !status.Ready {
		return errors.New("not ready yet")
	}
	return nil
}

// wipe deletes all devices of falcon's on a host.
func wipe(ctx context.Context, h *lab.Host) error {
	_, err := h.Exec(ctx, "sh", "-c", `for d in $(ls /sys/class/net); do case $d in fbr-*|fvx-*|fp-*) ip link del "$d";; esac; done`)
	return err
}
