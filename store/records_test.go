package store

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	prefix, address := netip.MustParsePrefix("10.1.0.0/24"), netip.MustParseAddr("10.1.0.7")
	for got, want := range map[string]string{
		HostKey("h"):                          "hosts/h",
		AliveKey("h"):                         "alive/h",
		NetworkKey("n"):                       "networks/n",
		VNIKey(42):                            "vnis/42",
		MemberKey("n", "h"):                   "members/n/h",
		EndpointKey("n", "e"):                 "endpoints/n/e",
		AddressClaimKey("n", address):         "claims/n/10.1.0.7",
		MACClaimKey("n", "02:42:AC:00:00:01"): "claims/n/02:42:ac:00:00:01",
		ScopeKey("@h"):                        "scopes/@h",
		PoolKey("s", prefix):                  "pools/s/10.1.0.0/24",
		AddressKey("s", prefix, address):      "addresses/s/10.1.0.0/24/10.1.0.7",
	} {
		if got != want {
			t.Errorf("got key %q, want %q", got, want)
		}
	}
}

// TestRecords: each type comes back from its bytes.
func TestRecords(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	prefix := netip.MustParsePrefix("10.1.0.0/24")
	roundTrip(t, Host{ID: "i", Name: "h", Underlay: netip.MustParseAddr("fd00::1"), Port: 4789, Version: "v"})
	roundTrip(t, Network{Name: "n", VNI: 7, MTU: 1450, Subnets: []netip.Prefix{prefix}, Internal: true})
	roundTrip(t, VNIOwner{Network: "n"})
	roundTrip(t, Member{Network: "n", Host: "h", DockerID: "d", Steering: "static", Shortcut: "on", Created: created})
	roundTrip(t, Endpoint{ID: "e", Network: "n", Host: "h", MAC: "02:42:ac:00:00:01", Addresses: []netip.Prefix{prefix}, Sandbox: "s", Created: created})
	roundTrip(t, Claim{Endpoint: "e", Host: "h"})
	roundTrip(t, Pool{Scope: "s", Prefix: prefix, Hosts: []string{"h"}, Bound: []string{"h"}, Network: "n", Created: created})
	roundTrip(t, Address{Kind: KindGateway, Hosts: []string{"h"}, Created: created})
}

func roundTrip[T any](t *testing.T, want T) {
	t.Helper()
	got, err := Decode[T](Record{Key: "k", Value: Encode(want)})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, value := range []string{"", "garbage", `{"vni": -1}`, `{"vni": 4294967296}`, `{"subnets": ["10.0.0.0/33"]}`, `[]`, `{} {}`} {
		_, err := Decode[Network](Record{Key: "networks/n", Value: []byte(value)})
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "networks/n") {
			t.Errorf("decode %q: got error %v", value, err)
		}
	}
	if _, err := Decode[Network](Record{Value: []byte(`{"name": "n", "from a later release": 1}`)}); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

// FuzzDecode: no bytes crash a decoder, and what it accepts can be written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"underlay":"fd00::1","port":4789}`, `{"vni":1,"subnets":["10.0.0.0/8"]}`,
		`{"created":"2026-01-02T03:04:05Z","addresses":["10.0.0.1/24"]}`, `{"prefix":"::/0","hosts":["h"]}`, `{"version":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		decodeAgain[Host](t, value)
		decodeAgain[Network](t, value)
		decodeAgain[VNIOwner](t, value)
		decodeAgain[Member](t, value)
		decodeAgain[Endpoint](t, value)
		decodeAgain[Claim](t, value)
		decodeAgain[Pool](t, value)
		decodeAgain[Address](t, value)
		if err := checkSchema(value); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrSchema) {
			t.Errorf("schema %q: %v", value, err)
		}
	})
}

func decodeAgain[T any](t *testing.T, value []byte) {
	decoded, err := Decode[T](Record{Key: "k", Value: value})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("decode %q: %v", value, err)
		}
		return
	}
	roundTrip(t, decoded)
}

// FuzzStoredRecord is for bolt's form of a record.
func FuzzStoredRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeRecord(1, []byte("value")))
	f.Fuzz(func(t *testing.T, stored []byte) {
		record, err := decodeRecord("k", stored)
		if err != nil {
			return
		}
		if got := encodeRecord(record.Revision, record.Value); string(got) != string(stored) {
			t.Errorf("%x became %x", stored, got)
		}
	})
}
