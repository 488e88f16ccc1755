package experiment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"falcon/tests/bench/subject"
	"falcon/tests/lab"
)

// The background is a paced sender of UDP beside the client and a receiver beside the server, at another port. It must not
// be the generator, whose core would be busy all the time and is the client's too on two cores, nor a sender that spins
// between packets, as sockperf's does: iperf3 sleeps. At this rate it takes a tenth to a fifth of either core, the
// more the dearer a packet is to the subject; and it comes in bursts of 4, which is what queues up before a message.
const (
	backgroundRate   = 20e3 // packets per second, the same for all
	backgroundSize   = 64   // bytes
	backgroundPacing = 200 * time.Microsecond
)

// roundTripsBeside measures round trips while the background is there.
func (c *Cell) roundTripsBeside(ctx context.Context, p subject.Path) error {
	beside := p
	beside.FromPort++
	beside.ToPort++
	b, err := c.startBackground(ctx, beside)
	if err != nil {
		return err
	}
	if err := c.roundTrips(ctx, p, fmt.Sprintf("beside %.0f kpps", backgroundRate/1e3)); err != nil {
		return errors.Join(err, b.stop())
	}
	rate, err := b.finish()
	if err != nil {
		return err
	}
	c.Add(Metric{"background", "received rate", "kpps", true}, rate/1e3)
	return nil
}

// background is a stream of UDP from the sender's place to the receiver's.
type background struct{ server, client *lab.Process }

// backgroundStart is how long iperf3 takes to start, generously, and each conversation besides its length.
const (
	backgroundStart  = 300 * time.Millisecond
	conversationCost = 250 * time.Millisecond
)

func (c *Cell) startBackground(ctx context.Context, p subject.Path) (b *background, failure error) {
	b = &background{}
	defer func() {
		if failure != nil {
			failure = errors.Join(failure, b.stop())
		}
	}()
	var err error
	if b.server, err = c.startIperf3(ctx, p, turnLimit); err != nil {
		return b, err
	}
	length := backgroundStart + time.Duration(len(messages(c.Env)))*(c.latencyLength()+conversationCost)
	if b.client, err = p.From.Start(ctx, turnLimit, c.Bed.Cores.Client,
		"iperf3", "--client", p.To.Addr.String(), "--port", strconv.Itoa(int(p.ToPort)), "--udp", "--json",
		"--length", strconv.Itoa(backgroundSize), "--bitrate", strconv.Itoa(backgroundRate*backgroundSize*8),
		"--pacing-timer", strconv.Itoa(int(backgroundPacing.Microseconds())),
		"--blockcount", strconv.Itoa(int(backgroundRate*length.Seconds()))); err != nil {
		return b, err
	}
	return b, sleep(ctx, backgroundStart)
}

// errBackgroundOver tells that what was measured had no background at its end.
var errBackgroundOver = errors.New("the background ended too early")

// finish waits for the end and returns how many packets arrived per second.
func (b *background) finish() (float64, error) {
	select {
	case <-b.client.Done():
		out, err := b.client.Wait()
		return 0, errors.Join(errBackgroundOver, err, fmt.Errorf("iperf3: %.300s", out), b.stop())
	default:
	}
	out, err := b.client.Wait()
	if err != nil {
		return 0, errors.Join(fmt.Errorf("%w: %s", err, out), b.stop())
	}
	bits, err := parseIperf3(out)
	if err != nil {
		return 0, errors.Join(err, b.stop())
	}
	_, err = b.server.Wait()
	return bits / 8 / backgroundSize, err
}

// stop ends all that runs.
func (b *background) stop() error {
	var all []error
	for _, p := range []*lab.Process{b.client, b.server} {
		if p != nil {
			_, err := p.Stop()
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
