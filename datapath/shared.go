package datapath

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// shared is an array map in this process's memory: what the programs write is seen here at once, and the other way round.
// Whoever reads a field that the other side writes does so atomically or can live with a torn 64-bit value, which no
// supported machine produces.
type shared[T any] struct {
	values []T
	memory []byte
}

// share maps an array map (BPF_F_MMAPABLE, kernel 5.5) whose values are of type T. The kernel puts elements at multiples of 8
// bytes (array_map_alloc).
func share[T any](m *ebpf.Map) (shared[T], error) {
	var value T
	stride := int(unsafe.Sizeof(value))
	if int(m.ValueSize()) != stride || stride%8 != 0 {
		return shared[T]{}, fmt.Errorf("share map %s: its values have %d bytes, not %d", m, m.ValueSize(), stride)
	}
	page := unix.Getpagesize()
	size := (int(m.MaxEntries())*stride + page - 1) / page * page
	memory, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return shared[T]{}, fmt.Errorf("share map %s: %w", m, err)
	}
	values := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), m.MaxEntries())
	return shared[T]{values, memory}, nil
}

func (s *shared[T]) close() error {
	if s.memory == nil {
		return nil
	}
	memory := s.memory
	s.values, s.memory = nil, nil
	return unix.Munmap(memory)
}

// closeAll closes what has been opened, in the order given.
func closeAll(closers ...func() error) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
