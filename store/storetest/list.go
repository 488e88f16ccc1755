package storetest

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"falcon/store"
)

func testList(t *testing.T, s store.Store) {
	if records, _ := list(t, s, ""); len(records) != 0 {
		t.Fatalf("a new store has %v", keys(records))
	}
	all := []string{"a", "a/", "a/b", "a/b/c", "a/c", "a0", "ab/x", "b", "networks/net", "networks/net-2", "networks0", "z\xff", "z\xff\xffa", "{"}
	for _, i := range []int{5, 0, 13, 2, 9, 7, 11, 1, 12, 3, 10, 4, 8, 6} { // some order
		commit(t, s, put(all[i], all[i]))
	}
	revision := commit(t, s, put("b", "again"))
	for prefix, want := range map[string][]string{
		"":              all,
		"a":             {"a", "a/", "a/b", "a/b/c", "a/c", "a0", "ab/x"},
		"a/":            {"a/", "a/b", "a/b/c", "a/c"},
		"a/b":           {"a/b", "a/b/c"},
		"a/b/":          {"a/b/c"},
		"networks/":     {"networks/net", "networks/net-2"},
		"networks/net":  {"networks/net", "networks/net-2"},
		"networks/net/": nil,
		"z\xff":         {"z\xff", "z\xff\xffa"},
		"s":             nil, // the schema is the store's own
		"zz":            nil,
	} {
		records, at := list(t, s, prefix)
		if !slices.Equal(keys(records), want) {
			t.Errorf("list %q: got %q, want %q", prefix, keys(records), want)
		}
		if at != revision {
			t.Errorf("list %q: revision %d, want %d", prefix, at, revision)
		}
	}
}

// testListSnapshot: a list never shows one half of a commit.
func testListSnapshot(t *testing.T, s store.Store) {
	const rounds = 40
	group, ctx := errgroup.WithContext(t.Context())
	group.Go(func() error {
		for i := range rounds {
			value := fmt.Sprint(i)
			if _, err := s.Commit(ctx, nil, []store.Write{put("pair/a", value), put("pair/b", value)}); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for last := ""; last != fmt.Sprint(rounds-1); {
			records, revision, err := s.List(ctx, "pair/")
			if err != nil {
				return err
			}
			if len(records) == 0 {
				continue
			}
			if len(records) != 2 || string(records[0].Value) != string(records[1].Value) || records[0].Revision > revision {
				return fmt.Errorf("got %v at %d", records, revision)
			}
			last = string(records[0].Value)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}
