package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"falcon/driver"
)

// topScreen is the live view.
type topScreen struct {
	top
	experiment topExperiment
	view       topView
	noted      time.Time // when view.note was
	terminal   *terminal
}

// noteTime is for a person to read a note.
const noteTime = 5 * time.Second

func (s *topScreen) say(text string) { s.view.note, s.noted = text, time.Now() }

// topAnswer is a sample, or why there is none.
type topAnswer struct {
	sample topSample
	err    error
	asked  time.Time
}

// controlC comes as a key, as the terminal is set.
const controlC = 3

// run draws what changes until somebody quits.
func (s *topScreen) run(ctx context.Context, in, out *os.File) (failure error) {
	var err error
	if s.terminal, err = openTerminal(in, out); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	answers := make(chan topAnswer)
	ended := make(chan struct{})
	defer func() {
		stop()
		failure = errors.Join(failure, s.terminal.Close())
		<-ended
	}()
	go func() {
		defer close(ended)
		defer s.terminal.guard()
		s.poll(ctx, answers)
	}()
	for {
		s.draw()
		select {
		case <-ctx.Done():
			return nil
		case <-s.terminal.resized:
		case a := <-answers:
			s.take(a)
		case key, ok := <-s.terminal.keys:
			if !ok || key == 'q' || key == controlC {
				return nil
			}
			s.press(ctx, key)
		}
	}
}

// poll asks the daemon apart from the keys: it may be slow to answer.
func (s *topScreen) poll(ctx context.Context, answers chan<- topAnswer) {
	for rest(ctx, s.interval) {
		asked := time.Now()
		sample, err := s.look(ctx)
		select {
		case answers <- topAnswer{sample, err, asked}:
		case <-ctx.Done():
			return
		}
	}
}

// take keeps what was on the screen where there is no answer. One to a question from before the last key knows nothing of that.
func (s *topScreen) take(a topAnswer) {
	if a.asked.Before(s.experiment.changed) {
		return
	}
	if s.view.lost = a.err; time.Since(s.noted) > noteTime {
		s.view.note = ""
	}
	if a.err != nil {
		return
	}
	s.view.before, s.view.after = s.view.after, a.sample
	if s.experiment.lost(trialOf(a.sample.status.Steering)) {
		s.say("the experiment was ended by somebody else, or with the daemon")
	}
}

// press does what a key stands for.
func (s *topScreen) press(ctx context.Context, key byte) {
	now := &s.view.after.status.Steering
	trial := trialOf(*now)
	switch key {
	case 'o', 's', 'd':
		trial.mode = map[byte]string{'o': "off", 's': "static", 'd': "dynamic"}[key]
	case 'p':
		trial.split = otherSplit(*now)
	case 'r':
		trial = topTrial{}
	default:
		return
	}
	steering, err := s.experiment.try(ctx, trial)
	if err != nil {
		s.say(err.Error())
		return
	}
	now.Experiment, now.TrySplit = steering.Experiment, steering.TrySplit
	s.view.note = ""
}

// otherSplit is what splitting is not at the moment.
func otherSplit(s driver.SteeringStatus) string {
	if cmp.Or(s.TrySplit, s.Split) == driver.SplitOn {
		return driver.SplitOff
	}
	return driver.SplitOn
}

// draw shows the view. A terminal that does not take it is about to be gone, which its keyboard tells.
func (s *topScreen) draw() {
	s.view.width, s.view.height = s.terminal.size()
	_ = s.terminal.show(s.view.lines(), s.view.width)
}
