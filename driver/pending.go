package driver

import "sync"

// pending is what somebody is to see to soon, each thing once however often it was asked for.
type pending[K comparable] struct {
	mu   sync.Mutex // guards keys; a leaf
	keys map[K]struct{}
}

func (p *pending[K]) add(keys ...K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[K]struct{}{}
	}
	for _, k := range keys {
		p.keys[k] = struct{}{}
	}
}

// take hands out all, in no order. What is added from then on is for the next take.
func (p *pending[K]) take() []K {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := make([]K, 0, len(p.keys))
	for k := range p.keys {
		keys = append(keys, k)
	}
	clear(p.keys)
	return keys
}
