package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is what a process did since it began. Softirqs that interrupted it count as its time too, unless the kernel
// accounts for them apart (CONFIG_IRQ_TIME_ACCOUNTING).
type Process struct {
	CPU          time.Duration // exact, of all threads that live
	User, System time.Duration // in steps of 10 ms, and sampled: their proportion is what they are good for
}

// Since is what it did after an earlier moment.
func (p Process) Since(earlier Process) Process {
	return Process{p.CPU - earlier.CPU, p.User - earlier.User, p.System - earlier.System}
}

// ProcessTime reads what a process did.
func ProcessTime(pid int) (Process, error) {
	p, err := processTime(pid)
	if err != nil {
		return p, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return p, nil
}

func processTime(pid int) (p Process, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	if p.User, p.System, err = parseProcessStat(string(stat)); err != nil {
		return p, err
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return p, err
	}
	for _, task := range tasks {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if os.IsNotExist(err) {
			continue // the thread ended
		}
		if err != nil {
			return p, err
		}
		run, err := parseSchedstat(string(raw))
		if err != nil {
			return p, err
		}
		p.CPU += run
	}
	return p, nil
}

// parseSchedstat reads the time on a core, in ns (kernel, Documentation/scheduler/sched-stats.rst).
func parseSchedstat(text string) (time.Duration, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return 0, fmt.Errorf("schedstat %q is empty", text)
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	return time.Duration(ns), err
}

// parseProcessStat reads the 14th and 15th field of /proc/PID/stat (proc_pid_stat(5)). The second is in brackets and may
// hold anything.
func parseProcessStat(text string) (user, system time.Duration, err error) {
	const afterName, userField, systemField = 3, 14, 15
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) <= systemField-afterName {
		return 0, 0, fmt.Errorf("stat %q is too short", text)
	}
	for field, into := range map[int]*time.Duration{userField: &user, systemField: &system} {
		ticks, err := strconv.ParseInt(fields[field-afterName], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("stat %q: %w", text, err)
		}
		*into = time.Duration(ticks) * (time.Second / userHZ)
	}
	return user, system, nil
}
