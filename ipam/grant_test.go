package ipam

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"falcon/store"
)

func TestGrant(t *testing.T) {
	const (
		endpoint  = store.KindEndpoint
		gateway   = store.KindGateway
		auxiliary = store.KindAuxiliary
	)
	then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := then.Add(time.Hour)
	me := func(use Use) asking { return asking{host: "me", use: use, at: now} }
	bound := func(use Use) asking { return asking{host: "me", use: use, bound: true, at: now} }
	swarm := func(use Use) asking { return asking{host: "me", use: use, swarm: true, at: now} }

	for _, tt := range []struct {
		name    string
		kind    string // of the record; "" for none
		hosts   []string
		ask     asking
		want    string // kind; "" for ErrTaken
		holders []string
		changed bool
	}{
		{"new gateway", "", nil, me(ForGateway), gateway, []string{"me"}, true},
		{"new auxiliary", "", nil, me(Unstated), auxiliary, []string{"me"}, true},
		{"new endpoint", "", nil, bound(Unstated), endpoint, []string{"me"}, true},
		{"new endpoint, unbound", "", nil, me(ForEndpoint), endpoint, []string{"me"}, true},
		{"new in a swarm", "", nil, swarm(Unstated), endpoint, []string{"me"}, true},

		{"gateway again", gateway, []string{"me"}, bound(ForGateway), gateway, []string{"me"}, false},
		{"gateway joined", gateway, []string{"a"}, me(ForGateway), gateway, []string{"a", "me"}, true},
		{"gateway as auxiliary", gateway, []string{"me"}, me(Unstated), "", nil, false},
		{"gateway as endpoint", gateway, []string{"me"}, bound(Unstated), "", nil, false},
		{"gateway as endpoint, said", gateway, []string{"me"}, bound(ForEndpoint), "", nil, false},

		{"auxiliary again", auxiliary, []string{"me"}, me(Unstated), auxiliary, []string{"me"}, false},
		{"auxiliary joined", auxiliary, []string{"a"}, me(Unstated), auxiliary, []string{"a", "me"}, true},
		{"auxiliary replayed", auxiliary, []string{"me"}, bound(Unstated), auxiliary, []string{"me"}, false},
		{"auxiliary as endpoint", auxiliary, []string{"a"}, bound(Unstated), "", nil, false},
		{"auxiliary as endpoint, said", auxiliary, []string{"me"}, bound(ForEndpoint), "", nil, false},
		{"auxiliary as gateway", auxiliary, []string{"me"}, me(ForGateway), "", nil, false},

		{"endpoint again", endpoint, []string{"me"}, bound(Unstated), endpoint, []string{"me"}, true},
		{"endpoint again, said", endpoint, []string{"me"}, bound(ForEndpoint), endpoint, []string{"me"}, true},
		{"endpoint replayed, unbound", endpoint, []string{"me"}, me(Unstated), endpoint, []string{"me"}, true},
		{"endpoint of another", endpoint, []string{"a"}, bound(Unstated), "", nil, false},
		{"endpoint of another as auxiliary", endpoint, []string{"a"}, me(Unstated), "", nil, false},
		{"endpoint as gateway", endpoint, []string{"me"}, me(ForGateway), "", nil, false},
		{"endpoint of another in a swarm", endpoint, []string{"a"}, swarm(Unstated), endpoint, []string{"a", "me"}, true},
		{"gateway as endpoint in a swarm", gateway, []string{"a"}, swarm(Unstated), "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			have := record[store.Address]{key: "k"}
			if tt.kind != "" {
				have.revision = 7
				have.value = store.Address{Kind: tt.kind, Hosts: tt.hosts, Created: then}
			}
			got, changed, err := grant(have, tt.ask)
			if tt.want == "" {
				if !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), tt.hosts[0]) {
					t.Fatalf("got %v, %v, want ErrTaken with the holder", got, err)
				}
				return
			}
			if err != nil || got.Kind != tt.want || !slices.Equal(got.Hosts, tt.holders) || changed != tt.changed {
				t.Fatalf("got %v, %v, %v", got, changed, err)
			}
			if fresh := tt.kind == "" || tt.kind == endpoint; fresh != got.Created.Equal(now) {
				t.Fatalf("got %v, created %v", got, got.Created)
			}
			if len(have.value.Hosts) != len(tt.hosts) {
				t.Fatal("the record seen was changed")
			}
		})
	}
}
