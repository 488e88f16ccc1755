package recovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"falcon/datapath"
	"falcon/driver"
	"falcon/tests/lab"
)

// event is something that must not disturb traffic on a host. When it is over, all is as before.
type event struct {
	name  string
	do    func(s siege, h *lab.Host)
	moves bool // flows that were sent to other cores come back, or go there
}

var (
	killed    = event{"killed and started again", siege.kill, false}
	leftDead  = event{"left dead for a while", siege.leaveDead, true}
	restarted = event{"restarted", siege.restart, false}
	upgraded  = event{"upgraded and downgraded", siege.upgrade, false}
	replaced  = event{"upgraded to other maps and back", siege.replace, true}
	moved     = event{"given other CPUs", siege.move, true}
	turned    = event{"steered otherwise", siege.turn, true}
	turnedOff = event{"configured otherwise", siege.turnOff, true}
	watched   = event{"watched", siege.watch, false}
	peopled   = event{"containers come and go", siege.people, false}
)

// dead is longer than programs follow a table that nobody renews (1 s).
const dead = 3 * time.Second

func (s siege) kill(h *lab.Host) {
	s.t.Helper()
	for range 2 {
		s.check(h.Plugin.Kill(s.ctx))
		s.check(h.Plugin.Start(s.ctx))
		s.ready(h)
	}
}

func (s siege) leaveDead(h *lab.Host) {
	s.t.Helper()
	s.check(h.Plugin.Kill(s.ctx))
	time.Sleep(dead)
	s.check(h.Plugin.Start(s.ctx))
	s.ready(h)
}

func (s siege) restart(h *lab.Host) {
	s.t.Helper()
	s.check(h.Plugin.Restart(s.ctx))
	s.ready(h)
}

func (s siege) upgrade(h *lab.Host) {
	s.t.Helper()
	s.become(h, nextVersion)
	s.become(h, ourVersion)
}

func (s siege) replace(h *lab.Host) {
	s.t.Helper()
	s.become(h, foreignMaps)
	s.become(h, ourVersion)
}

// become restarts a host's falcon as another version.
func (s siege) become(h *lab.Host, version string) {
	s.t.Helper()
	h.Plugin.SetArgs(append([]string{version}, h.Plugin.Args()[1:]...)...)
	s.restart(h)
	st := s.status(h)
	if version != ourVersion && st.Version != version {
		s.t.Errorf("%s runs, not %s", st.Version, version)
	}
	s.awaitSteering(h, datapath.Mode(st.Steering.Mode))
}

// move restarts a host's falcon with other CPUs to steer to: flows are to go elsewhere at once.
func (s siege) move(h *lab.Host) {
	s.t.Helper()
	argv := h.Plugin.Args()
	h.Plugin.SetArgs(withFlag(h.Plugin.Args(), "--cpus", fmt.Sprint(nicCore))...)
	s.restart(h)
	h.Plugin.SetArgs(argv...)
	s.restart(h)
}

// turn goes through modes as the keys of `falcon top` do.
func (s siege) turn(h *lab.Host) {
	s.t.Helper()
	configured := datapath.Mode(s.status(h).Steering.Mode)
	for _, mode := range []datapath.Mode{datapath.Off, datapath.Static, datapath.Dynamic, datapath.Off} {
		s.try(h, mode)
		s.awaitSteering(h, mode)
	}
	s.try(h, "")
	s.awaitSteering(h, configured)
}

// turnOff restarts a host's falcon with orders not to steer, and then, while another mode is tried, kills it: what was tried is
// forgotten.
func (s siege) turnOff(h *lab.Host) {
	s.t.Helper()
	argv := h.Plugin.Args()
	h.Plugin.SetArgs(withFlag(h.Plugin.Args(), "--steering", string(datapath.Off))...)
	s.restart(h)
	s.awaitSteering(h, datapath.Off)
	s.try(h, datapath.Static)
	s.awaitSteering(h, datapath.Static)
	h.Plugin.SetArgs(argv...)
	s.check(h.Plugin.Kill(s.ctx))
	s.check(h.Plugin.Start(s.ctx))
	s.awaitSteering(h, s.mode)
}

// try begins an experiment, or ends it.
func (s siege) try(h *lab.Host, mode datapath.Mode) {
	s.t.Helper()
	name := string(mode)
	body, err := json.Marshal(driver.SteeringRequest{Mode: &name})
	s.check(err)
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPut, "http://falcon"+driver.SteeringPath, bytes.NewReader(body))
	s.check(err)
	res, err := h.HTTPClient("unix", "/run/falcon/api.sock").Do(request)
	s.check(err)
	defer res.Body.Close()
	if answer, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("try mode %q: %s: %s: %v", mode, res.Status, answer, err)
	}
}

// awaitSteering waits until the programs, and the device that they steer from, are as a mode wants them.
func (s siege) awaitSteering(h *lab.Host, mode datapath.Mode) {
	s.t.Helper()
	s.eventually(10*time.Second, func() error {
		st := s.status(h)
		if len(st.Networks) != 1 || st.Networks[0].Steering != string(mode) || len(st.Degraded) > 0 {
			return fmt.Errorf("networks %+v, degraded %+v", st.Networks, st.Degraded)
		}
		mask, err := h.Exec(s.ctx, "cat", "/sys/class/net/"+st.Networks[0].VXLAN+"/queues/rx-0/rps_cpus")
		if steered := strings.Trim(mask, "0,") != ""; err == nil && steered != (mode != datapath.Off) {
			err = fmt.Errorf("mode %s, and the VXLAN device has the mask %s", mode, mask)
		}
		return err
	})
}

// watch is people's curiosity.
func (s siege) watch(h *lab.Host) {
	s.t.Helper()
	for _, args := range [][]string{{"status"}, {"doctor"}, {"top", "--once", "--interval", "200ms"}} {
		if out, err := h.Falcon(s.ctx, args...); err != nil || out == "" {
			s.t.Errorf("falcon %s: %v: %q", strings.Join(args, " "), err, out)
		}
	}
}

// people has a neighbour move in and out.
func (s siege) people(h *lab.Host) {
	s.t.Helper()
	c := s.run(h, "guest-"+h.Name, 1, 30)
	s.check(c.Remove(s.ctx))
}
