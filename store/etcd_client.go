package store

import (
	"context"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// A dead peer or a cut wire is noticed after the sum of these. Servers refuse pings that come faster
	// than every 5 s, and gRPC sends none faster than every 10 s.
	pingAfter   = 10 * time.Second
	pingTimeout = 3 * time.Second

	// gRPC's own bound is two minutes: as long a wait after an outage that is over.
	reconnectMax = time.Second

	methodAuthenticate = "/etcdserverpb.Auth/Authenticate"
	methodTxn          = "/etcdserverpb.KV/Txn"
)

// newClient returns a client that connects in the background. The configuration is normalized.
func newClient(config EtcdConfig) (*clientv3.Client, error) {
	tls, err := config.tls()
	if err != nil {
		return nil, err
	}
	password, err := config.password()
	if err != nil {
		return nil, err
	}
	var created, hasToken atomic.Bool
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            config.urls(),
		DialTimeout:          config.DialTimeout,
		DialKeepAliveTime:    pingAfter,
		DialKeepAliveTimeout: pingTimeout,
		TLS:                  tls,
		Username:             config.User,
		Password:             password,
		Logger:               zap.NewNop(), // it logs every retry; what matters reaches callers as an error
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMax},
				MinConnectTimeout: config.DialTimeout,
			}),
			grpc.WithChainUnaryInterceptor(postponeAuth(&created), demandToken(config.User, &hasToken), noBlindRetry, recordCause),
		},
	})
	created.Store(true)
	return client, err
}

// postponeAuth answers the authentication that clientv3.New insists on, so that it need not wait for a
// server: "auth is not enabled" makes the client go on without a token, and fetch one when the first
// operation is told that it needs one.
func postponeAuth(created *atomic.Bool) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if method == methodAuthenticate && !created.Load() {
			return rpctypes.ErrGRPCAuthNotEnabled
		}
		return invoke(ctx, method, req, reply, conn, opts...)
	}
}

// demandToken is for a server that knows its clients by their certificates (--client-cert-auth): a request without a token
// is one of the user that the certificate names there, and is denied. Told that the user is missing, the client
// fetches its token and tries again.
func demandToken(user string, hasToken *atomic.Bool) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, conn, opts...)
		switch {
		case method == methodAuthenticate:
			hasToken.Store(err == nil)
		case user != "" && !hasToken.Load() && status.Code(err) == codes.PermissionDenied:
			return rpctypes.ErrGRPCUserEmpty
		}
		return err
	}
}

// noBlindRetry keeps the client from repeating a transaction that a server gave up on: the first may have
// happened, and the second would then fail on the first's own writes.
func noBlindRetry(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	if code := status.Code(err); method == methodTxn && (code == codes.Canceled || code == codes.DeadlineExceeded) && ctx.Err() == nil {
		return status.Error(codes.Unavailable, status.Convert(err).Message())
	}
	return err
}

// cause is the last error of an operation's attempts. The client itself says no more than "context deadline
// exceeded" when attempts fail until the time is up.
type cause struct{ err error }

type causeKey struct{}

func withCause(ctx context.Context) (context.Context, *cause) {
	c := new(cause)
	return context.WithValue(ctx, causeKey{}, c), c
}

// recordCause runs in the goroutine of the operation, so cause needs no lock.
func recordCause(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	if c, ok := ctx.Value(causeKey{}).(*cause); ok && err != nil {
		c.err = err
	}
	return err
}
