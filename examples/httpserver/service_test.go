package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/containertest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
)

func TestMain(m *testing.M) {
	if err := containertest.Settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const (
	patience = 30 * time.Second
	tick     = 20 * time.Millisecond
)

var quiet = slog.New(slog.DiscardHandler)

// A service is one that runs, and a client of it.
type service struct {
	url    string
	log    buffer
	client *http.Client
	stop   func() error // tells it to leave, waits until it has, and returns what it ended with
}

// start runs the service in this process, as c says but on a port of its own.
func start(t *testing.T, c config) *service {
	t.Helper()
	c.listen = "127.0.0.1:0"
	if c.grace == 0 {
		c.grace = 15 * time.Second
	}
	s := newService(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.NewJSONHandler(&s.log, nil))) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = s.stop() })
	s.listening(t)
	return s
}

func newService(t *testing.T) *service {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &service{client: &http.Client{Transport: transport, Timeout: patience}}
}

// listening waits until the service's log says where it listens.
func (s *service) listening(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		for line := range strings.Lines(s.log.String()) {
			var said struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" {
				s.url = "http://" + said.Address
			}
		}
		return s.url != ""
	}, patience, tick, "it has not begun: %s", &s.log)
}

// do asks once.
func (s *service) do(ctx context.Context, method, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// want is do that insists on a status.
func (s *service) want(ctx context.Context, status int, method, path, body string) (answer string, err error) {
	got, answer, err := s.do(ctx, method, path, body)
	if err == nil && got != status {
		err = fmt.Errorf("%s %s: %d %s", method, path, got, answer)
	}
	return answer, err
}

// get returns an answer whatever its status.
func (s *service) get(t *testing.T, path string) (status int, answer string) {
	t.Helper()
	status, answer, err := s.do(t.Context(), "GET", path, "")
	require.NoError(t, err)
	return status, answer
}

// Health is what the service says of its pool, so that pooltest can be given the
// service in place of the pool. It is zero where the service does not answer.
func (s *service) Health() pool.Health {
	var report struct{ Pools []pool.Health }
	_, answer, err := s.do(context.Background(), "GET", "/healthz", "")
	if err != nil || json.Unmarshal([]byte(answer), &report) != nil || len(report.Pools) != 1 {
		return pool.Health{}
	}
	return report.Pools[0]
}

// becomes waits for a status.
func (s *service) becomes(t *testing.T, path string, status int) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, _, err := s.do(t.Context(), "GET", path, "")
		return err == nil && got == status
	}, patience, tick, "%s does not become %d", path, status)
}

// round places an order, reads it and lists orders.
func (s *service) round(ctx context.Context) error {
	placed, err := s.want(ctx, http.StatusCreated, "POST", "/orders", `{"item": "tea", "quantity": 1}`)
	if err != nil {
		return err
	}
	var order struct{ ID int64 }
	if err := json.Unmarshal([]byte(placed), &order); err != nil {
		return err
	}
	if _, err := s.want(ctx, http.StatusOK, "GET", fmt.Sprintf("/orders/%d", order.ID), ""); err != nil {
		return err
	}
	_, err = s.want(ctx, http.StatusOK, "GET", "/orders?limit=5", "")
	return err
}

// probe asks for the signs of life and readiness.
func (s *service) probe(ctx context.Context) error {
	if _, err := s.want(ctx, http.StatusOK, "GET", "/healthz", ""); err != nil {
		return err
	}
	_, err := s.want(ctx, http.StatusOK, "GET", "/readyz", "")
	return err
}

// A traffic is clients that never stop, and probes beside them.
type traffic struct{ rounds, probes *pooltest.Load }

func (s *service) traffic(t *testing.T, clients int) traffic {
	t.Helper()
	return traffic{pooltest.StartLoad(t, clients, s.round), pooltest.StartLoad(t, 1, s.probe)}
}

// noFailures ends the traffic and fails the test if any request has failed.
func (x traffic) noFailures(t *testing.T) (requests int64) {
	t.Helper()
	report, probes := x.rounds.NoFailures(t), x.probes.NoFailures(t)
	t.Logf("%d requests and %d probes, 0 failed; 3 requests take p50 %v, p99.9 %v, at most %v",
		3*report.Statements, 2*probes.Statements, report.P50, report.P999, report.Max)
	return 3 * report.Statements
}

// metric returns the value of one, with its labels.
func (s *service) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, text := s.get(t, "/metrics")
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(t, err)
			return n
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}

// keeps fails the test if a secret is in anything that the service says.
func (s *service) keeps(t *testing.T, secrets []string) {
	t.Helper()
	said := s.log.String()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/orders/0"} {
		_, answer := s.get(t, path)
		said += answer
	}
	require.NotEmpty(t, secrets)
	for i, secret := range secrets {
		require.Greater(t, len(secret), 10)
		require.False(t, strings.Contains(said, secret[:10]), "it says how secret %d begins", i) // all of it may be escaped
	}
}

// A buffer is written and read at the same time.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
