package balance

// Balancer holds the state between ticks. It is not safe for concurrent use.
type Balancer struct {
	config    *config
	now, next *state
	work      *workspace
	plan      Plan
}

// New makes a balancer for a machine.
func New(m Machine, s Settings, c Costs) (*Balancer, error) {
	for _, check := range []func() error{m.Check, s.Check, c.Check} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	n := len(m.Cores)
	return &Balancer{
		config: newConfig(m, s, c),
		now:    newState(n),
		next:   newState(n),
		work:   newWorkspace(n),
		plan:   Plan{Want: make([]Placement, Buckets), Load: make([]float64, n)},
	}, nil
}

// Adopt tells where a bucket's packets go already, so that they stay there until something better is found, if they may.
func (b *Balancer) Adopt(number int, p Placement) {
	if !b.config.permits(p) {
		p = stay
	}
	b.now.bucket[number] = bucket{want: p}
}

// Next decides on a tick's measurement. The plan is the Balancer's own and valid until the next call.
func (b *Balancer) Next(in Input) *Plan {
	decide(b.config, b.now, &in, b.next, b.work, &b.plan)
	b.now, b.next = b.next, b.now
	return &b.plan
}
