package load

import (
	"errors"
	"fmt"

	"github.com/safchain/ethtool"

	"falcon/datapath/netdev"
)

// EnableGRO turns generic receive offload on at a device. A veth then receives in NAPI, as a NIC's driver does (kernel 5.13).
func EnableGRO(d Device) error {
	err := onThread(d.Namespace, anyCPU, func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Change(d.Name, map[string]bool{"rx-gro": true})
	})
	if err != nil {
		return fmt.Errorf("turn GRO of %s on: %w", d.Name, err)
	}
	return nil
}

var errNoNAPI = errors.New("it takes no XDP frames: a veth does if the other end has GRO on or an XDP program")

// checkNAPI tells whether a device of the thread's namespace sends XDP frames. The kernel drops them silently where not.
func checkNAPI(index int) error {
	transmits, err := netdev.TransmitsFrames(index)
	if err == nil && !transmits {
		err = errNoNAPI
	}
	return err
}
