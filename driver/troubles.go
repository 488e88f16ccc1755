package driver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"
)

// troubles is what does not work as it should at present, by what it concerns. `falcon status` lists it as
// degraded. Each trouble is logged when it begins, when it changes and when it ends, not each time it is met.
type troubles struct {
	log logrus.FieldLogger

	mu      sync.Mutex // guards current; a leaf
	current map[string]string
}

func newTroubles(log logrus.FieldLogger) *troubles {
	return &troubles{log: log, current: map[string]string{}}
}

// set notes the outcome of something that is tried again and again. A nil error ends the trouble.
func (t *troubles) set(what string, err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	t.mu.Lock()
	before := t.current[what]
	if now == "" {
		delete(t.current, what)
	} else {
		t.current[what] = now
	}
	t.mu.Unlock()
	switch {
	case now == before:
	case now == "":
		t.log.WithField("what", what).Info("works again")
	default:
		t.log.WithField("what", what).Warn(now)
	}
}

// setDamage notes which of the store's records cannot be read.
func (t *troubles) setDamage(damaged map[string]error) {
	var all []error
	for _, key := range slices.Sorted(maps.Keys(damaged)) {
		all = append(all, damaged[key])
	}
	err := errors.Join(all...)
	if err != nil {
		err = fmt.Errorf("records that cannot be read (nothing is removed from the kernel until they are mended or deleted): %w", err)
	}
	t.set("store records", err)
}

// Degraded is one thing that does not work as it should, and why.
type Degraded struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// list returns the troubles in order of what they concern.
func (t *troubles) list() []Degraded {
	t.mu.Lock()
	defer t.mu.Unlock()
	degraded := []Degraded{}
	for _, what := range slices.Sorted(maps.Keys(t.current)) {
		degraded = append(degraded, Degraded{What: what, Why: t.current[what]})
	}
	return degraded
}
