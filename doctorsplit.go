package main

import (
	"context"

	"falcon/datapath"
)

// examineSplit says what --split on would meet at the underlay's device. Everything works without: a daemon that is to split, and
// cannot, says so itself.
func examineSplit(ctx context.Context, dp *datapath.Datapath, device string) datapath.Finding {
	f := datapath.Finding{Check: "splitting", OK: true, Detail: "nothing known against --split on at " + device}
	if err := dp.SplitObstacle(ctx, device); err != nil {
		f.Detail = "--split on would have no effect: " + err.Error()
	}
	return f
}
