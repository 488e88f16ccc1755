package store

import (
	"encoding/json"
	"fmt"
)

// schema is the value of SchemaKey.
type schema struct {
	Version int `json:"version"`
}

// checkSchema tells whether this release can work with the schema that a store has.
func checkSchema(value []byte) error {
	var found schema
	if err := json.Unmarshal(value, &found); err != nil {
		return fmt.Errorf("decode %s: %w: %v", SchemaKey, ErrCorrupt, err)
	}
	if found.Version < 1 {
		return fmt.Errorf("decode %s: %w: version %d", SchemaKey, ErrCorrupt, found.Version)
	}
	if found.Version > SchemaVersion {
		return fmt.Errorf("%w: found version %d, supported is %d: upgrade falcon on this host",
			ErrSchema, found.Version, SchemaVersion)
	}
	return nil
}
