package main

import (
	"context"

	"falcon/datapath"
)

// examineSplit says what --split on would meet at the underlay's device. Without it everything works.
func examineSplit(ctx context.Context, dp *datapath.Datapath, device string) datapath.Finding {
	f := datapath.Finding{Check: "splitting", OK: true, Detail: "nothing known against --split on at " + device}
	if err := dp.SplitObstacle(ctx, device); err != nil {
		f.Detail, f.Advice = "--split on would have no effect: "+err.Error(), "leave it off, or do as it says"
	}
	return f
}
