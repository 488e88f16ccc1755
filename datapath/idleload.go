package datapath

// idleLoad tells of CPUs while nothing is steered, so that one can see what steering does to them. Nobody measures then but who
// asks: loads are of the time since the question before. The zero value is ready; it belongs to whoever has steer.mu.
type idleLoad struct {
	sampler *cpuSampler // nil until it is asked
	window  *loadWindow
}

// status is nil if the kernel does not tell: nothing depends on it.
func (l *idleLoad) status() []CoreStatus {
	if l.sampler == nil {
		sampler, err := openCPUSampler("")
		if err != nil {
			return nil
		}
		l.sampler, l.window = sampler, newLoadWindow(1)
	}
	samples, err := l.sampler.sample()
	if err != nil {
		return nil
	}
	l.window.add(samples)
	var list []CoreStatus
	for _, s := range samples {
		load, _ := l.window.load(s.CPU)
		list = append(list, CoreStatus{CPU: s.CPU, Busy: load.Busy, Softirq: load.Softirq, Backlog: load.Backlog, Drops: s.Dropped})
	}
	return list
}

func (l *idleLoad) close() error {
	if l.sampler == nil {
		return nil
	}
	err := l.sampler.close()
	l.sampler = nil
	return err
}
