package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"falcon/datapath"
	"falcon/driver"
)

// topView is all that `falcon top` shows at a moment.
type topView struct {
	before, after topSample
	width, height int    // of the window; 0: no limit
	note          string // what happened last
	lost          error  // why the daemon does not answer; nil: it does
	keys          bool   // somebody can press them
}

// topLine is a line of the window.
type topLine struct {
	text   string
	strong bool // is to catch the eye
}

func plain(texts []string) []topLine {
	lines := make([]topLine, len(texts))
	for i, text := range texts {
		lines[i].text = text
	}
	return lines
}

func strong(texts []string) []topLine {
	lines := plain(texts)
	for i := range lines {
		lines[i].strong = true
	}
	return lines
}

// sentence wraps one.
func (v topView) sentence(text string) []string { return wrap(strings.Fields(text), " ", v.width) }

const topKeys = "try on this host: o off  s static  d dynamic  p split  r as configured  q quit"

// lines are what the window shows: what is set, what comes of it, cores, stages, flows; what has no room is left out.
func (v topView) lines() []topLine {
	foot := strong(v.sentence(v.note))
	if v.keys {
		foot = append(foot, plain(wrap(strings.Split(topKeys, "  "), "  ", v.width))...)
	}
	head := v.head()
	lines := append(head, v.body(v.height-len(head)-len(foot))...)
	if room := max(v.height-len(foot), 0); v.height > 0 {
		lines = lines[:min(len(lines), room)]
		for v.keys && len(lines) < room {
			lines = append(lines, topLine{}) // so that keys stay where they are
		}
	}
	lines = append(lines, foot...)
	if v.height > 0 && len(lines) > v.height {
		lines = lines[len(lines)-v.height:]
	}
	for i := range lines {
		lines[i].text = cut(lines[i].text, v.width)
	}
	return lines
}

// head says what is set, and what the balancer does and why.
func (v topView) head() []topLine {
	s := v.after.status
	parts := []string{"falcon top", s.Host.Name, v.after.at.Format("15:04:05"), "steering " + steeringLabel(s)}
	if cpus := s.Steering.Kernel.CPUs; cpus != "" {
		parts = append(parts, "CPUs "+cpus)
	}
	parts = append(parts, "shortcut "+s.Steering.Shortcut, "split "+splitLabel(s.Steering))
	lines := wrap(parts, "  ", v.width)
	if v.lost != nil {
		return append(plain(lines), strong(v.sentence(lostSince(v.lost, v.after)))...)
	}
	marked := plain(lines)
	for i := range marked {
		marked[i].strong = strings.Contains(lines[i], "EXPERIMENT")
	}
	return slices.Concat(marked, plain(v.sentence(reason(s))), strong(v.troubles()))
}

// lostSince says that figures are old, and why.
func lostSince(err error, last topSample) string {
	cause := err.Error()
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		cause = errno.Error()
	}
	return fmt.Sprintf("THE DAEMON DOES NOT ANSWER (%s): all below is of %s; it goes on when the daemon is back",
		cause, last.at.Format("15:04:05"))
}

// reason is what decides where packets go, in one line.
func reason(s driver.Status) string {
	var modes []datapath.Mode
	for _, n := range s.Networks {
		modes = append(modes, datapath.Mode(n.Steering))
	}
	k := s.Steering.Kernel
	switch {
	case len(modes) == 0:
		return "no network yet: nothing to steer"
	case slices.Contains(modes, datapath.Dynamic):
		return "balancer: " + k.Reason
	case slices.Contains(modes, datapath.Static):
		return "static: each flow's stages are on cores chosen by hash, whatever the load"
	}
	return "off: packets stay on the cores where they come in"
}

// steeringLabel says how packets are steered, and where it is not what the daemon is set to.
func steeringLabel(s driver.Status) string {
	if e := s.Steering.Experiment; e != "" {
		return fmt.Sprintf("%s (EXPERIMENT, configured: %s)", e, s.Steering.Mode)
	}
	apart := 0
	for _, n := range s.Networks {
		if n.Steering != s.Steering.Mode {
			apart++
		}
	}
	if apart == 0 {
		return s.Steering.Mode
	}
	return fmt.Sprintf("%s (%d of %d networks differ)", s.Steering.Mode, apart, len(s.Networks))
}

// splitLabel says whether first stages may be split.
func splitLabel(s driver.SteeringStatus) string {
	if s.TrySplit != "" {
		return fmt.Sprintf("%s (EXPERIMENT, configured: %s)", s.TrySplit, s.Split)
	}
	return s.Split
}

// split tells whether first stages may be split at the moment.
func (v topView) split() bool { return v.after.status.Steering.Kernel.Split != nil }

// troubles shows the first thing that is wrong with steering.
func (v topView) troubles() []string {
	var lines []string
	for _, g := range v.after.status.Degraded {
		if strings.HasPrefix(g.What, "steering: ") {
			lines = append(lines, "DEGRADED "+g.What+": "+g.Why)
		}
	}
	if n := len(lines); n > 1 {
		return []string{lines[0], fmt.Sprintf("and %d more: falcon status", n-1)}
	}
	return lines
}

// fewFlows are shown even where many cores want the room.
const fewFlows = 3

// body shows the tables in the given number of lines, apart from each other if there is room. Cores and flows share what the rest
// leaves.
func (v topView) body(room int) []topLine {
	cores := ratesBetween(v.before, v.after)
	if len(cores) == 0 {
		return nil
	}
	steered := v.after.status.Steering.Kernel.CPUs != "" && steered(&v.after.status)
	var stages, flows []topLine
	var groups []flowGroup
	if steered { // programs count for a while after the last network was
		stages, groups = v.stageTable(cores).lines(v.width), groupFlows(v.before, v.after)
	}
	space := len(cores)
	if v.height > 0 {
		fixed := 3 + len(stages) + min(len(groups), 1) + min(len(groups), fewFlows) // titles, total, titles of flows
		space = max(room-fixed, 1)
	}
	table := v.coreTable(cores, space, steered).lines(v.width)
	if len(groups) > 0 {
		left := len(groups)
		if v.height > 0 {
			left = max(room-len(table)-len(stages)-1, 0)
		}
		flows = v.flowTable(groups, left).lines(v.width)
	}
	return sections(v.height > 0, room, table, stages, flows)
}

// sections puts tables below each other, with blank lines between them as long as all fits.
func sections(limited bool, room int, tables ...[]topLine) []topLine {
	var dense []topLine
	for _, t := range tables {
		dense = append(dense, t...)
	}
	spare := room - len(dense)
	lines := []topLine{}
	for _, t := range tables {
		if len(t) == 0 {
			continue
		}
		if !limited || spare > 0 {
			lines = append(lines, topLine{})
			spare--
		}
		lines = append(lines, t...)
	}
	return lines
}
