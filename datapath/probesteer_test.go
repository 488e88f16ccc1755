package datapath

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// This kernel can steer, and looking leaves no trace.
func TestProbeSteering(t *testing.T) {
	h := lone(t)
	before := h.fullList()
	var checks []string
	for _, f := range h.ProbeSteering(context.Background()) {
		checks = append(checks, f.Check)
		if !f.OK || f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{"steering programs", "poll tracepoint", "steering hooks", "steering masks"}; !slices.Equal(checks, want) {
		t.Errorf("checks: %q", checks)
	}
	unchanged(t, before, h.fullList())
	if h.steer.programs != nil {
		t.Error("programs are loaded")
	}
}

// A daemon's pinned maps are not taken over by who only looks, nor emptied because the networks are none of theirs.
func TestProbeLeavesPinsAlone(t *testing.T) {
	requireRoot(t)
	err := inScratch(func(p *Datapath) error {
		pins := bpffs(t)
		p.steer.config.Pins, p.short.config.Pins = filepath.Join(pins, "falcon"), filepath.Join(pins, "shortcut")
		if err := os.MkdirAll(p.steer.config.Pins, 0o700); err != nil {
			return err
		}
		daemons, err := openShortcut(p.short.config, false)
		if err != nil {
			return err
		}
		defer daemons.close()
		const vni = 77
		if err := daemons.setLive(vni, true); err != nil {
			return err
		}
		for _, trial := range trials() {
			if err := trial.try(context.Background(), p); err != nil {
				t.Errorf("%s: %v", trial.check, err)
			}
		}
		entries, err := os.ReadDir(p.steer.config.Pins)
		if len(entries) > 0 {
			t.Errorf("pinned: %v", entries)
		}
		left := map[VNI]*shortNetwork{}
		if err := daemons.read(left); err != nil || left[vni] == nil || !left[vni].live {
			t.Errorf("the daemon's network is not on the shortcut any more: %v, %v", left, err)
		}
		if _, err := os.Stat(filepath.Join(p.short.config.Pins, shortcutMapTraffics)); err != nil {
			t.Error(err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProbePins(t *testing.T) {
	requireRoot(t)
	good := bpffs(t)
	entries := func() string {
		list, err := os.ReadDir(good)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(list) // the kernel has some of its own
	}
	before := entries()
	if f := probePins(good); !f.OK || f.Advice != "" {
		t.Errorf("%+v", f)
	}
	if after := entries(); after != before {
		t.Errorf("was %s, is %s", before, after)
	}
	for dir, want := range map[string][2]string{
		readOnlyBPFFS(t):      {"read-only file system", "mount -o remount,rw"},
		t.TempDir():           {"pin a map in", "mount -t bpf bpf"},
		t.TempDir() + "/none": {"no such file or directory", "mount -t bpf bpf"},
	} {
		if f := probePins(dir); f.OK || !strings.Contains(f.Detail, want[0]) || !strings.HasPrefix(f.Advice, want[1]+" ") {
			t.Errorf("%s: %+v, want %q", dir, f, want)
		}
	}
}

// Who comes before our program at the NIC is named.
func TestProgramsBefore(t *testing.T) {
	p := newPipeline(t, Static)
	ctx := context.Background()
	before := func() []string {
		t.Helper()
		names, err := p.b.ProgramsBefore(ctx, "u0")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := before(); len(got) > 0 {
		t.Errorf("nobody else is there: %q", got)
	}
	other, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: "somebody", License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, goOn), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	h := hook{device: p.b.device("u0")}
	if err := p.b.attachAsOther(h, other, "somebody"); err != nil {
		t.Fatal(err)
	}
	if got := before(); !slices.Equal(got, []string{"somebody"}) {
		t.Errorf("got %q", got)
	}
	if err := p.b.detachHost(ctx, h, nameNIC, haveTCX()); err != nil {
		t.Fatal(err)
	}
	if got := before(); got != nil {
		t.Errorf("before a program that is not there: %q", got)
	}
	if _, err := p.b.ProgramsBefore(ctx, "none0"); err == nil {
		t.Error("no error for a device that is not there")
	}
}

// attachAsOther does what another program than falcon may do at a device that falcon is at: put its own first.
func (h *labHost) attachAsOther(at hook, p *ebpf.Program, name string) error {
	if h.steer.programs.tcx {
		return h.inHost(context.Background(), func() error {
			_, err := at.attachTCX(p, name)
			return err
		})
	}
	filter := at.filter(p.FD(), name)
	filter.Handle++ // of one priority, the newest comes first (cls_bpf_change)
	return h.rt.FilterAdd(filter)
}

func TestQueueSettings(t *testing.T) {
	h := lone(t)
	h.ip("link add q0 numrxqueues 2 type veth peer name q1")
	ctx := context.Background()
	look := func() QueueSettings {
		t.Helper()
		q, err := h.QueueSettings(ctx, "q0")
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	if got := look(); got != (QueueSettings{}) {
		t.Errorf("%+v", got)
	}
	for file, value := range map[string]string{"rx-0/rps_cpus": "1", "rx-0/rps_flow_cnt": "256", "rx-1/rps_flow_cnt": "512"} {
		run(t, "ip", "netns", "exec", h.name, "sh", "-c", "echo "+value+" >/sys/class/net/q0/queues/"+file)
	}
	if got, want := look(), (QueueSettings{RPS: NewCPUSet(0), Flows: 768}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
