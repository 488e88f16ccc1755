package load

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// hold keeps an XDP program attached to the loopback of a namespace in which nothing happens, and so in the kernel's XDP
// dispatcher (kernel/bpf/dispatcher.c).
type hold struct {
	namespace *os.File // it lasts as long as somebody has it open
	link      link.Link
}

const loopback = 1 // index of a namespace's first device

func newHold(program *ebpf.Program) (h *hold, failure error) {
	h = &hold{}
	defer func() {
		if failure != nil {
			h, failure = nil, errors.Join(fmt.Errorf("hold program: %w", failure), h.close())
		}
	}()
	return h, onThread("", anyCPU, func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		if h.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		h.link, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: loopback, Flags: link.XDPGenericMode})
		return err
	})
}

func (h *hold) close() error {
	var err error
	if h.link != nil {
		err = h.link.Close()
	}
	if h.namespace != nil {
		err = errors.Join(err, h.namespace.Close())
	}
	return err
}
