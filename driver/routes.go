package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	ipamapi "github.com/docker/go-plugins-helpers/ipam"
	network "github.com/docker/go-plugins-helpers/network"
	"github.com/docker/go-plugins-helpers/sdk"
	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"falcon/ipam"
)

const (
	manifest = `{"Implements": ["NetworkDriver", "IpamDriver"]}`
	// handlerTimeout bounds every request. Docker waits for an answer without a limit of its own on some
	// paths, and holds locks while it does.
	handlerTimeout = 15 * time.Second
	// maxRequest bounds a request's body in bytes; Docker's are a few hundred.
	maxRequest = 1 << 20
)

// What go-plugins-helpers does not have: the parts of the protocol that came with Docker 28.0.
type (
	// CapabilitiesResponse answers NetworkDriver.GetCapabilities.
	CapabilitiesResponse struct {
		Scope             string
		ConnectivityScope string
		GwAllocChecker    bool
	}
	// GwAllocCheckRequest asks whether a network needs a gateway address.
	GwAllocCheckRequest struct{ Options map[string]any }
	// GwAllocCheckResponse answers it, by address family.
	GwAllocCheckResponse struct{ SkipIPv4, SkipIPv6 bool }
)

// empty is the body of requests and answers without content.
type empty struct{}

// Handler answers Docker's requests.
type Handler struct {
	sdk.Handler
	log      logrus.FieldLogger
	failures *failureLog
	inflight *inflight
	Requests *Requests // those that were answered
}

// failureLog has failed requests logged, as many as anybody reads: an engine that restarts a container again and again asks many times a second.
type failureLog struct {
	limit    *rate.Limiter
	unlogged atomic.Uint64
}

// At most so many failed requests are logged at once, and one a second on end.
const failuresAtOnce = 20

func newFailureLog() *failureLog {
	return &failureLog{limit: rate.NewLimiter(rate.Every(time.Second), failuresAtOnce)}
}

func (f *failureLog) note(log logrus.FieldLogger, err error) {
	if !f.limit.Allow() {
		f.unlogged.Add(1)
		return
	}
	if n := f.unlogged.Swap(0); n > 0 {
		log = log.WithField("unlogged", n) // since the last one that was
	}
	log.WithError(err).Warn("request failed")
}

// Drain lets no more requests begin and waits until those in hand have been answered, or for ctx.
func (h *Handler) Drain(ctx context.Context) { h.inflight.drain(ctx) }

// NewHandler routes both of Docker's protocols to the driver and the IPAM driver, behind one manifest.
// scope is "local" or "global": what Docker may use the driver for.
func NewHandler(d *Driver, addresses *ipam.Driver, scope string, log logrus.FieldLogger) *Handler {
	h := &Handler{sdk.NewHandler(manifest), log, newFailureLog(), newInflight(), newRequests()}

	route(h, "NetworkDriver.GetCapabilities", func(context.Context, *empty) (*CapabilitiesResponse, error) {
		return &CapabilitiesResponse{Scope: scope, ConnectivityScope: network.GlobalScope, GwAllocChecker: true}, nil
	})
	route(h, "NetworkDriver.GwAllocCheck", d.GwAllocCheck)
	route(h, "NetworkDriver.AllocateNetwork", d.AllocateNetwork)
	route(h, "NetworkDriver.FreeNetwork", silent(d.FreeNetwork))
	route(h, "NetworkDriver.CreateNetwork", silent(d.CreateNetwork))
	route(h, "NetworkDriver.DeleteNetwork", silent(d.DeleteNetwork))
	route(h, "NetworkDriver.CreateEndpoint", d.CreateEndpoint)
	route(h, "NetworkDriver.DeleteEndpoint", silent(d.DeleteEndpoint))
	route(h, "NetworkDriver.EndpointOperInfo", d.EndpointInfo)
	route(h, "NetworkDriver.Join", d.Join)
	route(h, "NetworkDriver.Leave", silent(d.Leave))
	// Ports and the way out are docker_gwbridge's business, and other hosts are found through the store:
	// there is nothing to do on these four.
	route(h, "NetworkDriver.ProgramExternalConnectivity", ignore[network.ProgramExternalConnectivityRequest])
	route(h, "NetworkDriver.RevokeExternalConnectivity", ignore[network.RevokeExternalConnectivityRequest])
	route(h, "NetworkDriver.DiscoverNew", ignore[network.DiscoveryNotification])
	route(h, "NetworkDriver.DiscoverDelete", ignore[network.DiscoveryNotification])

	route(h, "IpamDriver.GetCapabilities", func(ctx context.Context, _ *empty) (*ipam.CapabilitiesResponse, error) {
		return addresses.GetCapabilities(ctx)
	})
	route(h, "IpamDriver.GetDefaultAddressSpaces", func(ctx context.Context, _ *empty) (*ipamapi.AddressSpacesResponse, error) {
		return addresses.GetDefaultAddressSpaces(ctx)
	})
	route(h, "IpamDriver.RequestPool", addresses.RequestPool)
	route(h, "IpamDriver.ReleasePool", silent(addresses.ReleasePool))
	route(h, "IpamDriver.RequestAddress", addresses.RequestAddress)
	route(h, "IpamDriver.ReleaseAddress", silent(addresses.ReleaseAddress))
	return h
}

// operation is what a route leads to.
type operation[Q, A any] func(context.Context, *Q) (*A, error)

// silent makes an operation of one that answers nothing but an error.
func silent[Q any](do func(context.Context, *Q) error) operation[Q, empty] {
	return func(ctx context.Context, q *Q) (*empty, error) { return &empty{}, do(ctx, q) }
}

func ignore[Q any](context.Context, *Q) (*empty, error) { return &empty{}, nil }

// route registers one operation. The answer is given when the deadline is over, whatever the operation does
// then; it ends with its context.
func route[Q, A any](h *Handler, method string, do operation[Q, A]) {
	h.HandleFunc("/"+method, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), handlerTimeout)
		defer cancel()
		answer, err := perform(ctx, h.inflight, http.MaxBytesReader(w, r.Body, maxRequest), do)
		took := time.Since(began)
		h.Requests.note(method, took, err)
		log := h.log.WithFields(logrus.Fields{"method": method, "took": took.Round(time.Microsecond)})
		if err != nil {
			h.failures.note(log, err)
			sdk.EncodeResponse(w, network.NewErrorResponse("falcon: "+err.Error()), true)
			return
		}
		log.Debug("request")
		sdk.EncodeResponse(w, answer, false)
	})
}

func perform[Q, A any](ctx context.Context, hand *inflight, body io.Reader, do operation[Q, A]) (*A, error) {
	q, err := decodeRequest[Q](body)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		answer *A
		err    error
	}
	if !hand.begin() {
		return nil, errors.New("falcon is shutting down: try again when it is back")
	}
	done := make(chan outcome, 1)
	go func() {
		defer hand.end()
		answer, err := do(ctx, q)
		done <- outcome{answer, err}
	}()
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no result within %v: %w; see the log and `falcon status` of this host", handlerTimeout, ctx.Err())
	}
}

// decodeRequest reads one JSON object. An empty body is an error although some requests have nothing to say:
// when the plugin dies with a request in hand, Docker repeats it without the body (moby, pkg/plugins:
// the reader is spent), and an empty network ID must not be taken for a wish. Docker sends null to
// methods without arguments.
func decodeRequest[Q any](body io.Reader) (*Q, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	q := new(Q)
	if _, none := any(q).(*empty); none {
		return q, nil
	}
	if len(raw) == 0 {
		return nil, errors.New("read request: the body is empty, perhaps because an earlier attempt was cut off: try again")
	}
	if err := json.Unmarshal(raw, q); err != nil {
		return nil, fmt.Errorf("read request: malformed JSON: %w", err)
	}
	return q, nil
}
