package driver

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"falcon/datapath"
)

// chooseVNI takes the VNI that was asked for, or derives one from the name: hosts that cannot see each other's store
// then still choose the same for the same name. Each attempt derives another.
func (d *Driver) chooseVNI(ctx context.Context, r request, attempt uint32) (datapath.VNI, error) {
	taken, err := d.cfg.Datapath.TakenVNIs(ctx, d.cfg.Port)
	if err != nil {
		return 0, fmt.Errorf("look for VNIs in use: %w", err)
	}
	if r.vni != 0 {
		if device, ok := taken[r.vni]; ok {
			return 0, optionError(keyVNI, fmt.Sprint(r.vni), "is taken by device "+device+" of this host: give another VNI")
		}
		return r.vni, nil
	}
	h := fnv.New32a()
	fmt.Fprint(h, r.name)
	span := uint32(datapath.MaxVNI) - firstVNI + 1
	for i := range span {
		vni := datapath.VNI(firstVNI + (h.Sum32()%span+attempt+i)%span)
		if _, ok := taken[vni]; !ok {
			return vni, nil
		}
	}
	return 0, errors.New("every VNI is in use on this host")
}
