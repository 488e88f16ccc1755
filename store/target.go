package store

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	backendBolt = "bolt"
	backendEtcd = "etcd"
)

const etcdScheme = "etcd://"

const allowedTargets = `allowed are "bolt" and "etcd://host:port[,host:port]"`

// Target is what a value of --store names: the file in the state directory when it has no endpoints, else
// an etcd cluster.
type Target struct {
	Endpoints []string // host:port
}

// ParseTarget parses a value of --store.
func ParseTarget(value string) (Target, error) {
	if value == backendBolt {
		return Target{}, nil
	}
	list, ok := strings.CutPrefix(value, etcdScheme)
	if !ok {
		return Target{}, fmt.Errorf("parse --store %q: %s", value, allowedTargets)
	}
	endpoints, err := parseEndpoints(strings.Split(list, ","))
	if err != nil {
		return Target{}, fmt.Errorf("parse --store %q: %w: %s", value, err, allowedTargets)
	}
	return Target{Endpoints: endpoints}, nil
}

// String is the value of --store that names the target.
func (t Target) String() string {
	if len(t.Endpoints) == 0 {
		return backendBolt
	}
	return etcdScheme + strings.Join(t.Endpoints, ",")
}

func parseEndpoints(list []string) ([]string, error) {
	endpoints := make([]string, 0, len(list))
	for _, s := range list {
		endpoint, err := parseEndpoint(s)
		if err != nil {
			return nil, err
		}
		if slices.Contains(endpoints, endpoint) {
			return nil, fmt.Errorf("endpoint %q is given twice", s)
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints, nil
}

// parseEndpoint checks a host:port and returns it in its usual form.
func parseEndpoint(s string) (string, error) {
	if s == "" {
		return "", errors.New("an endpoint is empty")
	}
	if strings.Contains(s, "://") {
		return "", fmt.Errorf("endpoint %q has a scheme", s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("endpoint %q is not host:port", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("endpoint %q has a bad port", s)
	}
	host, err = parseHost(host)
	if err != nil {
		return "", fmt.Errorf("endpoint %q: %w", s, err)
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

// parseHost takes an address or a name. A zone is refused: the client has no way to pass it on.
func parseHost(host string) (string, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" {
			return "", errors.New("an address with a zone cannot be used")
		}
		return address.String(), nil
	}
	if ok, _ := regexp.MatchString(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`, host); !ok {
		return "", errors.New("neither an address nor a host name")
	}
	return strings.ToLower(host), nil
}
