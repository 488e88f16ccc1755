package ipam

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"falcon/store"
)

// ErrTaken says that an address is held in a way that excludes another use.
var ErrTaken = errors.New("address is taken")

// Use is what an address is requested for.
type Use int

// Uses of an address.
const (
	// Unstated is a request in which Docker does not say. Without an address it is for an endpoint. With one
	// it is for --aux-address while this host has no falcon network on the pool, and for an endpoint, or the
	// replay of either, after. Pools of other network drivers have none ever: addresses that their
	// users choose count as auxiliary there, and the second container with the same --ip on the same host
	// cannot be told from a retry.
	Unstated Use = iota
	ForEndpoint
	ForGateway
)

// asking is a request for one address.
type asking struct {
	host  string
	use   Use
	bound bool // the host's falcon network is on the pool
	swarm bool // a manager and the hosts it chose hold an endpoint's address together; no auxiliary ones
	at    time.Time
}

// kind is the kind of address asked for; see store.Address.
func (a asking) kind() string {
	switch {
	case a.use == ForGateway:
		return store.KindGateway
	case a.use == ForEndpoint, a.bound, a.swarm:
		return store.KindEndpoint
	}
	return store.KindAuxiliary
}

// grant returns what the record of an address becomes when the request is granted, and whether that is a
// change. Its error matches ErrTaken and says who holds the address as what. Each grant to an endpoint is dated
// anew: Collect gives it time to become one.
func grant(have record[store.Address], ask asking) (store.Address, bool, error) {
	if !have.exists() {
		return store.Address{Kind: ask.kind(), Hosts: []string{ask.host}, Created: ask.at}, true, nil
	}
	next := have.value
	held := slices.Contains(next.Hosts, ask.host)
	if !ask.fits(next.Kind, held) {
		return store.Address{}, false, fmt.Errorf("%w: it is %s of host %s",
			ErrTaken, describe(next.Kind), strings.Join(next.Hosts, ", "))
	}
	next.Hosts = with(next.Hosts, ask.host)
	if next.Kind == store.KindEndpoint {
		next.Created = ask.at
	}
	return next, !held || next.Kind == store.KindEndpoint, nil
}

// fits tells whether the request is granted on an address in use as kind, held by the host that asks or not.
// Gateways and auxiliary addresses are shared by the hosts that ask for them as such. An endpoint's address
// is granted again to the host that holds it, since Docker retries and replays. So is an auxiliary one, unless
// Docker says that it is for an endpoint.
func (a asking) fits(kind string, held bool) bool {
	switch kind {
	case store.KindGateway:
		return a.use == ForGateway
	case store.KindAuxiliary:
		return a.kind() == store.KindAuxiliary || held && a.use == Unstated
	default:
		return a.use != ForGateway && (held || a.swarm)
	}
}

// describe says what an address of a kind is.
func describe(kind string) string {
	switch kind {
	case store.KindGateway:
		return "the gateway"
	case store.KindAuxiliary:
		return "an auxiliary address"
	}
	return "the address of a container"
}
