package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/lab"
)

// enginePair is two hosts with engines and a subject's network between them. On one of them containers come and go; what
// the subject needs besides (the swarm's manager, the store) is elsewhere, as it is for most hosts of a cluster.
type enginePair struct {
	subject    string
	lab        *lab.Lab
	daemons    []*lab.Daemon // of the first host, whose memory counts
	engine     api           // the first host's
	entries    *watcher      // of the second host
	containers int           // in the network, on the first host
}

// probe is the container that is connected to the network and disconnected over and over. It has Docker's bridge besides,
// so that the engine need not give it another way out with each network.
const probe = "probe"

// furnish starts a container on the second host, lest the network not be there, and the probe on the first.
func (p *enginePair) furnish(ctx context.Context) error {
	at, other := p.lab.Hosts[0], p.lab.Hosts[1]
	p.engine = newAPI(at, engineSocket)
	if _, err := other.RunContainer(ctx, "other", "--network", benchNetwork); err != nil {
		return err
	}
	if _, err := at.RunContainer(ctx, probe); err != nil {
		return err
	}
	// The first endpoint on a host makes the network's devices there, which is no part of what is measured.
	_, err := p.startNext(ctx)
	return err
}

// watch begins to listen for entries in a namespace of the second host.
func (p *enginePair) watch(sandbox string) (err error) {
	p.entries, err = watch(p.lab.Hosts[1].Namespace(sandbox))
	return err
}

// close may be called again.
func (p *enginePair) close() error {
	var err error
	if p.entries != nil {
		err = p.entries.close()
	}
	p.entries = nil
	p.engine.close()
	return errors.Join(err, p.lab.Close())
}

// startNext starts one more container in the network and returns how long the start took, without the creation.
func (p *enginePair) startNext(ctx context.Context) (time.Duration, error) {
	name := fmt.Sprintf("c%d", p.containers+1)
	err := p.engine.post(ctx, "containers/create?name="+name, map[string]any{
		"Image": lab.ImageName, "HostConfig": map[string]any{"NetworkMode": benchNetwork},
	}, nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = p.engine.post(ctx, "containers/"+name+"/start", nil, nil)
	p.containers++
	return time.Since(began), err
}

// pairSample is how long things took.
type pairSample struct {
	connect, disconnect time.Duration
	known               time.Duration // from the call until the other host's VXLAN device had the entry
}

// sample connects the probe and disconnects it.
func (p *enginePair) sample(ctx context.Context) (s pairSample, err error) {
	request := map[string]any{"Container": probe}
	began := time.Now()
	if err := p.engine.post(ctx, "networks/"+benchNetwork+"/connect", request, nil); err != nil {
		return s, err
	}
	s.connect = time.Since(began)
	mac, err := p.probeMAC(ctx)
	if err != nil {
		return s, err
	}
	arrived, err := p.entries.await(ctx, mac, began)
	if err != nil {
		return s, err
	}
	s.known = arrived.Sub(began)
	began = time.Now()
	err = p.engine.post(ctx, "networks/"+benchNetwork+"/disconnect", request, nil)
	s.disconnect = time.Since(began)
	return s, err
}

// probeMAC is the probe's address in the network.
func (p *enginePair) probeMAC(ctx context.Context) (string, error) {
	var answer struct {
		NetworkSettings struct {
			Networks map[string]struct{ MacAddress string }
		}
	}
	if err := p.engine.get(ctx, "containers/"+probe+"/json", &answer); err != nil {
		return "", err
	}
	mac := answer.NetworkSettings.Networks[benchNetwork].MacAddress
	if mac == "" {
		return "", fmt.Errorf("container %s has no address in network %s", probe, benchNetwork)
	}
	return mac, nil
}
