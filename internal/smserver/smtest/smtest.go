// Package smtest gives a test an AWS Secrets Manager of its own, spoken to
// through the real SDK, with faults and a log of requests in front of it.
package smtest

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/smserver"
)

// A Server is a store on a port, behind faults.
type Server struct {
	*Faults

	Store *smserver.Store
	URL   string // the endpoint for the SDK
}

// New starts a server that ends with the test. Set the store's fields before
// the first request.
func New(t testing.TB) *Server {
	t.Helper()
	store := smserver.New()
	faults := Wrap(store)
	s, err := smserver.Start(faults)
	if err != nil {
		t.Fatalf("smtest: %v", err)
	}
	t.Cleanup(func() {
		s.Close()
		store.Close()
	})
	return &Server{Faults: faults, Store: store, URL: s.URL}
}

// Client returns a client of the server with the SDK's defaults, but for what
// the options change. It tries requests once; set Options.Retryer for more.
func (s *Server) Client(t testing.TB, options ...func(*secretsmanager.Options)) *secretsmanager.Client {
	return Client(t, s.URL, options...)
}

// Client returns a client of any endpoint, as Server.Client does.
func Client(t testing.TB, url string, options ...func(*secretsmanager.Options)) *secretsmanager.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &url,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "a test", ""),
		HTTPClient:   &http.Client{Transport: transport},
		Retryer:      retry.NewStandard(once),
	}, options...)
}

// once tries a request once, but for one fault that is not the server's: the SDK
// closes the body of a request when the answer begins, and if the transport was
// still to see the end of that body, it closes the connection under the answer.
func once(o *retry.StandardOptions) {
	o.MaxBackoff = time.Millisecond
	o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		return aws.BoolTernary(errors.Is(err, net.ErrClosed))
	})}
}
