package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders"
)

// A fake is a store that answers as it is told to.
type fake struct{ err error }

func (f fake) Place(_ context.Context, item string, quantity int) (orders.Order, error) {
	return orders.Order{ID: 7, Item: item, Quantity: quantity}, f.err
}

func (f fake) Get(_ context.Context, id int64) (orders.Order, error) {
	return orders.Order{ID: id, Item: "tea", Quantity: 1}, f.err
}

func (f fake) Latest(_ context.Context, limit int) ([]orders.Order, error) {
	return make([]orders.Order, limit), f.err
}

func TestStatuses(t *testing.T) {
	const tea = `{"item": "tea", "quantity": 2}`
	for name, c := range map[string]struct {
		method, path, body string
		err                error
		status             int
		answer             string // a part of it
	}{
		"placed":             {"POST", "/orders", tea, nil, 201, `{"id":7,"item":"tea","quantity":2,`},
		"sold out":           {"POST", "/orders", tea, orders.ErrSoldOut, 409, "in stock"},
		"no JSON":            {"POST", "/orders", "tea", nil, 400, "the body is not"},
		"no body":            {"POST", "/orders", "", nil, 400, "the body is not"},
		"two objects":        {"POST", "/orders", tea + tea, nil, 400, "the body is not"},
		"unknown key":        {"POST", "/orders", `{"item": "tea", "quantity": 1, "price": 0}`, nil, 400, "the body is not"},
		"another type":       {"POST", "/orders", `{"item": "tea", "quantity": "1"}`, nil, 400, "the body is not"},
		"no item":            {"POST", "/orders", `{"quantity": 1}`, nil, 400, "one item"},
		"item with a zero":   {"POST", "/orders", `{"item": "t\u0000", "quantity": 1}`, nil, 400, "one item"},
		"long item":          {"POST", "/orders", `{"item": "` + strings.Repeat("t", 101) + `", "quantity": 1}`, nil, 400, "one item"},
		"no quantity":        {"POST", "/orders", `{"item": "tea"}`, nil, 400, "quantity of 1 to 1000"},
		"negative":           {"POST", "/orders", `{"item": "tea", "quantity": -1}`, nil, 400, "quantity of 1 to 1000"},
		"too many":           {"POST", "/orders", `{"item": "tea", "quantity": 3000000000}`, nil, 400, "quantity of 1 to 1000"},
		"large body":         {"POST", "/orders", `{"item": "` + strings.Repeat("t", 5000), nil, 413, "too large"},
		"read":               {"GET", "/orders/7", "", nil, 200, `"id":7`},
		"not there":          {"GET", "/orders/7", "", orders.ErrNotFound, 404, "no such order"},
		"not a number":       {"GET", "/orders/tea", "", nil, 404, "no such order"},
		"list":               {"GET", "/orders", "", nil, 200, "[{"},
		"short list":         {"GET", "/orders?limit=1", "", nil, 200, `[{"id":0,"item":"","quantity":0,"placed":"0001-01-01T00:00:00Z"}]`},
		"no limit":           {"GET", "/orders?limit=0", "", nil, 400, "1 to 100"},
		"large limit":        {"GET", "/orders?limit=101", "", nil, 400, "1 to 100"},
		"another method":     {"DELETE", "/orders/7", "", nil, 405, ""},
		"another path":       {"GET", "/", "", nil, 404, ""},
		"database away":      {"GET", "/orders", "", errors.New("connection refused"), 503, "try again later"},
		"database too slow":  {"GET", "/orders", "", context.DeadlineExceeded, 503, "try again later"},
		"database leaves":    {"GET", "/orders", "", &pgconn.PgError{Code: "57P01"}, 503, "try again later"},
		"login refused":      {"GET", "/orders", "", &pgconn.PgError{Code: "28P01"}, 503, "try again later"},
		"mistake in our SQL": {"GET", "/orders", "", &pgconn.PgError{Code: "42601", Message: "at or near secret"}, 500, "our mistake"},
		"lost rights":        {"GET", "/orders", "", &pgconn.PgError{Code: "42501"}, 500, "our mistake"},
		"client left":        {"GET", "/orders", "", context.Canceled, 499, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log buffer
			logger := slog.New(slog.NewJSONHandler(&log, nil))
			tel, err := newTelemetry()
			require.NoError(t, err)
			h := limited(tel.observed(newAPI(fake{c.err}, logger), logger))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body)))

			require.Equal(t, c.status, w.Code, "%s", w.Body)
			require.Contains(t, w.Body.String(), c.answer)
			require.NotContains(t, w.Body.String(), "secret", "what is inside is for the log")
			require.Equal(t, c.status == http.StatusServiceUnavailable, w.Header().Get("Retry-After") != "")
			require.Equal(t, c.status >= 500, strings.Contains(log.String(), `"msg":"a request has failed"`))
			require.Contains(t, log.String(), `"msg":"request","method":"`+c.method+`"`)
			if c.status == http.StatusCreated {
				require.Equal(t, "/orders/7", w.Header().Get("Location"))
			}
		})
	}
}

// What clients send does not become a label.
func TestMetricsHaveTheLabelsOfRoutes(t *testing.T) {
	tel, err := newTelemetry()
	require.NoError(t, err)
	h := tel.observed(newAPI(fake{}, quiet), quiet)
	for _, r := range []string{"GET /orders/1", "GET /orders/2", "GET /wp-login.php", "BREW /orders"} {
		method, path, _ := strings.Cut(r, " ")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, path, nil))
	}
	w := httptest.NewRecorder()
	tel.metrics.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	require.Contains(t, w.Body.String(), `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/orders/{id}"} 2`)
	require.NotContains(t, w.Body.String(), "wp-login")
	require.NotContains(t, w.Body.String(), "BREW")
}
