package ipam

import (
	"cmp"
	"context"
	"slices"

	"falcon/store"
)

// touched is the value of a scope's key, of which only the revision matters.
type touched struct {
	By string `json:"by"`
}

// scopeView is the set of pools of a scope, at a revision of its key.
type scopeView struct {
	name  string
	guard record[touched]
	pools []record[store.Pool]
}

// view reads a scope. The key comes first: when a commit finds it unchanged, no pool came or went since.
func (p *Pools) view(ctx context.Context, scope string) (scopeView, error) {
	guard, err := get[touched](ctx, p.store, store.ScopeKey(scope))
	if err != nil {
		return scopeView{}, err
	}
	pools, err := list[store.Pool](ctx, p.store, store.PoolsPrefix+scope+"/")
	return scopeView{scope, guard, pools}, err
}

// find returns the pool of a subnet; it does not exist if the scope has none.
func (v scopeView) find(k poolKey) record[store.Pool] {
	for _, pool := range v.pools {
		if pool.value.Prefix == k.prefix {
			return pool
		}
	}
	return record[store.Pool]{key: k.pool()}
}

// oldest returns the pool of a family that was created first.
func (v scopeView) oldest(v6 bool) (record[store.Pool], bool) {
	family := slices.DeleteFunc(slices.Clone(v.pools), func(r record[store.Pool]) bool {
		return r.value.Prefix.Addr().Is6() != v6
	})
	if len(family) == 0 {
		return record[store.Pool]{}, false
	}
	return slices.MinFunc(family, func(a, b record[store.Pool]) int {
		return cmp.Or(a.value.Created.Compare(b.value.Created), cmp.Compare(a.key, b.key))
	}), true
}
