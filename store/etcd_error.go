package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"
)

// explain sorts the client's errors into those of the contract. ctx is the caller's; last is the error of
// the last attempt, where there was one.
func (e *Etcd) explain(ctx context.Context, err, last error) error {
	where := strings.Join(e.config.Endpoints, ",")
	switch {
	case e.ctx.Err() != nil:
		return context.Cause(e.ctx)
	case errors.Is(err, ErrSchema), errors.Is(err, ErrCorrupt):
		return fmt.Errorf("etcd %s: %w", where, err)
	case errors.Is(err, rpctypes.ErrCompacted):
		return ErrCompacted
	case isAny(err, deniedErrors()):
		return fmt.Errorf("%w: etcd %s: %s", ErrDenied, where, e.deniedHint(err))
	case isAny(err, refusedErrors()):
		return fmt.Errorf("etcd %s: %w", where, err)
	}
	text := reason(err, last)
	text += e.config.hint(text)
	if ctx.Err() != nil {
		return fmt.Errorf("%w: etcd %s: %s: %w", ErrUnavailable, where, text, ctx.Err())
	}
	return fmt.Errorf("%w: etcd %s: %s", ErrUnavailable, where, text)
}

// deniedErrors are those that mean wrong credentials or missing rights. The client has renewed its token
// already where that could help.
func deniedErrors() []error {
	return []error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty,
		rpctypes.ErrUserNotFound, rpctypes.ErrRoleNotFound, rpctypes.ErrInvalidAuthToken,
	}
}

// resumableErrors are those after which a watch can go on where it was.
func resumableErrors() []error {
	return []error{rpctypes.ErrNoLeader, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision}
}

// refusedErrors are those of a request that would be refused again.
func refusedErrors() []error {
	return []error{
		rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyOps, rpctypes.ErrDuplicateKey,
		rpctypes.ErrEmptyKey, rpctypes.ErrValueProvided, rpctypes.ErrLeaseTTLTooLarge,
	}
}

// textError finds the error that a text stands for: the reason for which a server ends a watch comes as one.
func textError(err error) error {
	for _, known := range append(deniedErrors(), resumableErrors()...) {
		if strings.HasSuffix(err.Error(), known.Error()) {
			return known
		}
	}
	return err
}

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (e *Etcd) deniedHint(err error) string {
	var server rpctypes.EtcdError
	text := err.Error()
	if errors.As(err, &server) {
		text = server.Error()
	}
	switch {
	case e.config.User == "":
		return text + ": give --store-user and --store-password-file"
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Sprintf("%s: user %q needs a role that reads and writes all keys beginning with %s", text, e.config.User, e.config.Prefix)
	}
	return fmt.Sprintf("%s: check --store-user %q and its password", text, e.config.User)
}

// reason is what a person wants to read of gRPC's error: the last attempt's, without the layers it came
// through.
func reason(err, last error) string {
	if last == nil {
		last = err
	}
	text := status.Convert(last).Message()
	text = strings.TrimPrefix(text, "latest balancer error: ")
	if inner, ok := strings.CutPrefix(text, `connection error: desc = "`); ok {
		return strings.TrimPrefix(strings.TrimSuffix(inner, `"`), "transport: ")
	}
	if strings.HasPrefix(text, context.DeadlineExceeded.Error()) {
		return "no answer in time"
	}
	return text
}

// hint helps where the two sides do not agree on TLS: the server says so in its own log only, and cuts the
// connection.
func (c EtcdConfig) hint(reason string) string {
	cut := false
	for _, text := range []string{"broken pipe", "connection reset", "server preface", "remote error: tls"} {
		cut = cut || strings.Contains(reason, text)
	}
	switch {
	case !cut:
		return ""
	case !c.secure():
		return " (if it asks for TLS, give --store-ca)"
	case c.CertFile == "":
		return " (if it asks for a client certificate, give --store-cert and --store-key)"
	}
	return " (check that it accepts the certificate of --store-cert)"
}
