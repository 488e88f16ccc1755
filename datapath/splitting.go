package datapath

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

const (
	// splitQueue is how many frames can wait for a core's thread: 1.5 to 3 ms of its work at 0.7 to 1.4 us each. It sleeps when it has none,
	// and has to share the core with what else runs there.
	splitQueue = 2048
	splitNice  = -20
	// splitPin is the name of the link that holds the program at the NIC's driver.
	splitPin = "split"
)

// splitting is the programs that take the first stage of TCP flows off the core where their frames come in. A nil one splits
// nothing.
type splitting struct {
	objects splitObjects
	states  shared[splitSplit] // by bucket
	attached,
	queued, unqueued ebpflink.Link
	device  int
	name    string // of the device
	threads CPUSet
}

// openSplit loads the programs with the maps of steering, and those of an earlier run.
func (s *steering) openSplit(dir string, possible int, port uint16) error {
	spec, err := loadSplit()
	if err != nil {
		return fmt.Errorf("load splitting: %w", err)
	}
	if err := s.fit(spec, possible, port); err != nil {
		return fmt.Errorf("load splitting: %w", err)
	}
	p := &splitting{}
	options := ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: dir}, MapReplacements: s.objects.byName()}
	if err := spec.LoadAndAssign(&p.objects, &options); err != nil {
		return fmt.Errorf("load splitting: %w", err)
	}
	if err := errors.Join(p.share(), p.watch(), s.countQueues(p)); err != nil {
		return errors.Join(fmt.Errorf("load splitting: %w", err), p.close())
	}
	s.split = p
	return nil
}

// byName are the maps that are shared.
func (m *steerMaps) byName() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		steerMapNetworks: m.Networks, steerMapControls: m.Controls, steerMapCores: m.Cores, steerMapSlots: m.Slots, steerMapPlans: m.Plans,
		steerMapFlows: m.Flows, steerMapPassages: m.Passages, steerMapArrivals: m.Arrivals, steerMapCounts: m.Counts,
	}
}

func (p *splitting) share() (err error) {
	p.states, err = share[splitSplit](p.objects.Splits)
	return err
}

// watch has frames counted that go into and come out of queues. Not pinned: without a daemon, nobody looks.
func (p *splitting) watch() (err error) {
	p.queued, err = ebpflink.AttachRawTracepoint(ebpflink.RawTracepointOptions{Name: "xdp_cpumap_enqueue", Program: p.objects.FalconQueued})
	if err != nil {
		return fmt.Errorf("watch queues: %w", err)
	}
	p.unqueued, err = ebpflink.AttachRawTracepoint(ebpflink.RawTracepointOptions{Name: "xdp_cpumap_kthread", Program: p.objects.FalconUnqueued})
	if err != nil {
		return fmt.Errorf("watch queues: %w", err)
	}
	return nil
}

// countQueues tells the programs which queues are ours.
func (s *steering) countQueues(p *splitting) error {
	info, err := p.objects.Threads.Info()
	if err != nil {
		return err
	}
	id, _ := info.ID()
	s.control.values[0].Threads = uint32(id)
	for i := range s.counts.values { // what came and went while nobody counted is in neither
		atomic.StoreUint64(&s.counts.values[i].Unqueued, atomic.LoadUint64(&s.counts.values[i].Queued))
	}
	return nil
}

// serve gives CPUs, and no others, a thread that takes frames. Nothing may be under way to one that loses it.
func (p *splitting) serve(cpus CPUSet) error {
	if p == nil || p.threads == cpus {
		return nil
	}
	have, err := p.served()
	if err != nil {
		return fmt.Errorf("list threads of splitting: %w", err)
	}
	for cpu := range have.Minus(cpus).All() {
		if err := p.objects.Threads.Delete(uint32(cpu)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("end thread of splitting on CPU %d: %w", cpu, err)
		}
	}
	for cpu := range cpus.Minus(have).All() {
		entry := cpuMapValue{size: splitQueue}
		if err := p.objects.Threads.Put(uint32(cpu), unsafe.Slice((*byte)(unsafe.Pointer(&entry)), unsafe.Sizeof(entry))); err != nil {
			return fmt.Errorf("start thread of splitting on CPU %d: %w", cpu, err)
		}
	}
	p.threads = cpus
	return p.hurry()
}

// hurry gives the threads the priority over applications that the softirqs have whose work they do.
func (p *splitting) hurry() error {
	info, err := p.objects.Threads.Info()
	if err != nil {
		return err
	}
	id, _ := info.ID()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return err
	}
	ours := regexp.MustCompile(fmt.Sprintf(`^cpumap/\d+/map:%d\n$`, id))
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !ours.Match(comm) {
			continue // many processes end while one looks
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return err
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, pid, splitNice); err != nil {
			return fmt.Errorf("raise the priority of thread %s: %w", bytes.TrimSpace(comm), err)
		}
	}
	return nil
}

// cpuMapValue is struct bpf_cpumap_val.
type cpuMapValue struct {
	size    uint32
	program int32 // none
}

func (p *splitting) served() (CPUSet, error) {
	var cpus []int
	var cpu uint32
	value := make([]byte, unsafe.Sizeof(cpuMapValue{}))
	entries := p.objects.Threads.Iterate()
	for entries.Next(&cpu, &value) {
		if size := *(*uint32)(unsafe.Pointer(unsafe.SliceData(value))); size != 0 {
			cpus = append(cpus, int(cpu))
		}
	}
	return NewCPUSet(cpus...), entries.Err()
}

// attach puts the program at a device's driver, in the place of an earlier run's. The calling thread must be in the device's
// namespace.
func (p *splitting) attach(nic link, dir string) error {
	if p.attached != nil { // to another device
		if err := p.attached.Close(); err != nil {
			return err
		}
		p.attached, p.device = nil, 0
	}
	l, err := attachDriver(p.objects.FalconSplit, nic.index, filepath.Join(dir, splitPin))
	if err != nil {
		return err
	}
	p.attached, p.device, p.name = l, nic.index, nic.name
	return nil
}

// attachDriver puts a program at a device's driver and pins the link, or goes on with the link that an earlier run has pinned. The calling
// thread must be in the device's namespace.
func attachDriver(program *ebpf.Program, device int, pin string) (ebpflink.Link, error) {
	if old, err := ebpflink.LoadPinnedLink(pin, nil); err == nil {
		if attachedTo(old) == device {
			if err := old.Update(program); err != nil {
				return nil, errors.Join(err, old.Close())
			}
			return old, nil
		}
		if err := errors.Join(old.Close(), os.Remove(pin)); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := ebpflink.AttachXDP(ebpflink.XDPOptions{Program: program, Interface: device, Flags: ebpflink.XDPDriverMode})
	if err != nil {
		return nil, err
	}
	if err := l.Pin(pin); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// attachedTo is the device that a link's program is at; 0 if that is gone.
func attachedTo(l ebpflink.Link) int {
	info, err := l.Info()
	if err != nil || info.XDP() == nil {
		return 0
	}
	return int(info.XDP().Ifindex)
}

// removeSplit takes the program off its device; the threads end with the last that refers to them.
func (s *steering) removeSplit(dir string) error {
	s.control.values[0].Threads = 0
	var errs []error
	for _, name := range []string{splitPin, splitMapThreads, splitMapSplits} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.closeSplit())...)
}

// slot is that of the core which has a bucket's first stage; slotInline: the one where frames come in.
func (p *splitting) slot(bucket int) uint32 {
	if p == nil || atomic.LoadUint32(&p.states.values[bucket].Counting) == 0 {
		return slotInline
	}
	return atomic.LoadUint32(&p.states.values[bucket].Slot)
}

func (p *splitting) status() *SplitStatus {
	if p == nil {
		return nil
	}
	return &SplitStatus{Device: p.name, Queue: splitQueue, CPUs: p.threads.String()}
}

// forget is for when slots are given anew: nothing is handed on any more.
func (p *splitting) forget() {
	if p == nil {
		return
	}
	for i := range p.states.values {
		atomic.StoreUint32(&p.states.values[i].Slot, slotInline)
	}
}

// underWay tells whether a bucket has sent frames to other cores of late.
func (p *splitting) underWay(now uint64, quiet time.Duration) bool {
	return p != nil && slices.ContainsFunc(p.states.values, func(s splitSplit) bool {
		return s.Counting != 0 && s.Slot != slotInline && int64(now-s.Last) < int64(quiet)
	})
}

// close lets go of programs and maps. What is attached and pinned stays.
func (p *splitting) close() error {
	links := []func() error{p.states.close}
	for _, l := range []ebpflink.Link{p.attached, p.queued, p.unqueued} {
		if l != nil {
			links = append(links, l.Close)
		}
	}
	return closeAll(append(links, p.objects.Close)...)
}

func (s *steering) closeSplit() error {
	if s.split == nil {
		return nil
	}
	p := s.split
	s.split = nil
	return p.close()
}

// refusal says what a driver's refusal of the program means.
func refusal(device link, err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the driver of %s has no XDP, or not with the offloads that are on (rx-gro-hw, large-receive-offload)", device.name)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("another XDP program is at %s", device.name)
	case errors.Is(err, unix.ERANGE), errors.Is(err, unix.EINVAL), errors.Is(err, unix.E2BIG), errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("the driver of %s does not take an XDP program with an MTU of %d: lower it to 3000 at most", device.name, device.mtu)
	}
	return fmt.Errorf("attach XDP program to %s: %w", device.name, err)
}
