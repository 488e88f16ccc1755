package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"falcon/datapath"
	"falcon/store"
)

// claimEndpoint writes the endpoint and its claims, or returns the one that is there already if this is a retry.
func (d *Driver) claimEndpoint(ctx context.Context, m store.Member, e store.Endpoint) (store.Endpoint, error) {
	given := e.MAC != ""
	if known, ok := d.view.endpoint(e.Network, e.ID); ok {
		return known, sameEndpoint(known, e)
	}
	for attempt := range commitAttempts {
		if !given {
			e.MAC = chooseMAC(e.Addresses, attempt).String()
		}
		err := d.commitEndpoint(ctx, m, e)
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return e, fmt.Errorf("create endpoint %s: %w", short(e.ID), err)
		}
		if err := d.resolveClaim(ctx, e, err, given); err != nil {
			return e, fmt.Errorf("create endpoint %s: %w", short(e.ID), err)
		}
	}
	return e, fmt.Errorf("create endpoint %s: %w %d times: try again", short(e.ID), store.ErrConflict, commitAttempts)
}

// sameEndpoint tells whether a repeated request asks for what is there.
func sameEndpoint(known, asked store.Endpoint) error {
	if asked.MAC != "" && asked.MAC != known.MAC || !slices.Equal(asked.Addresses, known.Addresses) {
		return fmt.Errorf("endpoint %s exists already with MAC %s and addresses %v", short(known.ID), known.MAC, known.Addresses)
	}
	return nil
}

func (d *Driver) commitEndpoint(ctx context.Context, m store.Member, e store.Endpoint) error {
	key := store.EndpointKey(e.Network, e.ID)
	conditions := []store.Condition{
		{Key: store.MemberKey(m.Network, m.Host), Revision: store.Present},
		{Key: key, Revision: store.Absent},
	}
	writes := []store.Write{{Key: key, Value: store.Encode(e)}}
	claim := store.Encode(store.Claim{Endpoint: e.ID, Host: e.Host})
	for _, key := range claimKeys(e) {
		conditions = append(conditions, store.Condition{Key: key, Revision: store.Absent})
		writes = append(writes, store.Write{Key: key, Value: claim})
	}
	return d.commit(ctx, conditions, writes...)
}

func claimKeys(e store.Endpoint) []string {
	keys := []string{store.MACClaimKey(e.Network, e.MAC)}
	for _, a := range e.Addresses {
		keys = append(keys, store.AddressClaimKey(e.Network, a.Addr()))
	}
	return keys
}

// resolveClaim decides what a conflict means. Nil: try again, for the claim in the way was a leftover of this
// host and is gone now, or another MAC will do.
func (d *Driver) resolveClaim(ctx context.Context, e store.Endpoint, err error, macGiven bool) error {
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || conflict.Key == "" {
		return nil
	}
	record, err := d.store.Get(ctx, conflict.Key)
	if errors.Is(err, store.ErrNotFound) {
		if conflict.Key == store.MemberKey(e.Network, d.host) {
			return fmt.Errorf("network %s: %w: it is being removed", e.Network, ErrUnknownNetwork)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if conflict.Key == store.EndpointKey(e.Network, e.ID) {
		return fmt.Errorf("endpoint %s: another request for it is under way: %w", short(e.ID), store.ErrConflict)
	}
	claim, err := store.Decode[store.Claim](record)
	if err != nil {
		return err
	}
	if claim.Host == d.host && d.collector.abandoned(e.Network, claim.Endpoint) {
		if old, ok := d.view.endpoint(e.Network, claim.Endpoint); ok {
			return d.dropEndpoint(ctx, old)
		}
	}
	if conflict.Key == store.MACClaimKey(e.Network, e.MAC) && !macGiven {
		return nil
	}
	return d.claimError(conflict.Key, claim)
}

func (d *Driver) claimError(key string, claim store.Claim) error {
	host := claim.Host
	if h, ok := d.view.host(claim.Host); ok {
		host = h.Name
	}
	_, what, _ := strings.Cut(strings.TrimPrefix(key, store.ClaimsPrefix), "/")
	return fmt.Errorf("address %s is %w: endpoint %s on host %s has it; give another, or let falcon choose with --ipam-driver falcon",
		what, ErrTaken, short(claim.Endpoint), host)
}

// chooseMAC derives a MAC from the endpoint's IPv4 address, as Docker does (02:42 and the address): it is
// unique where the address is, and the same again after a restart. Without an IPv4 address, or when that MAC is
// taken by hand, it is random; locally administered either way (IEEE 802, bit 1 of the first byte).
func chooseMAC(addresses []netip.Prefix, attempt int) datapath.MAC {
	mac := datapath.MAC{0x02, 0x42}
	if attempt == 0 {
		for _, a := range addresses {
			if a.Addr().Is4() {
				ip := a.Addr().As4()
				copy(mac[2:], ip[:])
				return mac
			}
		}
	}
	_, _ = rand.Read(mac[1:]) // never fails (crypto/rand, since Go 1.24)
	return mac
}
