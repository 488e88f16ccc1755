package driver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"falcon/datapath"
)

// TracePath is where the API takes a TraceRequest with PUT, answers with a datapath.Trace to GET, and ends the trace with DELETE.
const TracePath = "/v1/trace"

// TraceRequest begins a trace.
type TraceRequest struct {
	Network string `json:"network"` // its cluster-wide name, or what Docker calls it
	Seconds int    `json:"seconds"` // from 1 to MaxTrace; then it ends by itself
}

// MaxTrace is ample for a person, and bounds what somebody who went away costs.
const MaxTrace = 10 * time.Minute

// traceAPI has the handlers of TracePath.
func (d *Driver) traceAPI(mux *http.ServeMux) {
	mux.HandleFunc("PUT "+TracePath, func(w http.ResponseWriter, r *http.Request) {
		var request TraceRequest
		if err := decodeCommand(w, r, &request); err != nil {
			http.Error(w, fmt.Sprintf(`read request: %v: want {"network": NAME, "seconds": SECONDS}`, err), http.StatusBadRequest)
			return
		}
		answerOr(w, struct{}{}, d.startTrace(r.Context(), request))
	})
	mux.HandleFunc("GET "+TracePath, func(w http.ResponseWriter, _ *http.Request) {
		trace, err := d.cfg.Datapath.Trace()
		answerOr(w, trace, err)
	})
	mux.HandleFunc("DELETE "+TracePath, func(w http.ResponseWriter, _ *http.Request) {
		answerOr(w, struct{}{}, d.cfg.Datapath.EndTrace())
	})
}

func (d *Driver) startTrace(ctx context.Context, r TraceRequest) error {
	length := time.Duration(r.Seconds) * time.Second
	if length < time.Second || length > MaxTrace {
		return fmt.Errorf("%d seconds: must be from 1 to %d", r.Seconds, int(MaxTrace/time.Second))
	}
	scene, ok := d.view.scene(d.networkCalled(ctx, r.Network))
	if !ok {
		return fmt.Errorf("network %s: this host is in no such network: falcon status lists its networks", r.Network)
	}
	vni := datapath.VNI(scene.network.VNI)
	err := d.cfg.Datapath.StartTrace(vni, length)
	if errors.Is(err, datapath.ErrNotShortcut) {
		return fmt.Errorf("network %s is not on the shortcut: all its packets go the kernel's way: see tcpdump -i %s, or turn it on with falcon.shortcut=%s or --shortcut=%s",
			r.Network, datapath.VXLANDevice(vni), ShortcutOn, ShortcutOn)
	}
	return err
}

// networkCalled gives the cluster-wide name of a network of this host that a person calls so: by that name, or by Docker's. Empty: there is none.
func (d *Driver) networkCalled(ctx context.Context, name string) string {
	if m, ok := d.view.membership(d.host, name); ok {
		return m.Network
	}
	networks, err := d.cfg.Engine.Networks(ctx)
	if err != nil {
		d.cfg.Log.WithError(err).Debug("no network is known by Docker's name")
		return ""
	}
	for _, n := range networks {
		if m, ok := d.view.member(d.host, n.ID); ok && n.Name == name {
			return m.Network
		}
	}
	return ""
}

// answerOr writes JSON, or what is wrong with the request.
func answerOr(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, value)
}
