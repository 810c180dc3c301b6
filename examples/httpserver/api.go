package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/examples/orders"
)

// The limits of a request.
const (
	maxBody     = 4 << 10 // bytes
	maxItem     = 100     // bytes
	maxQuantity = 1000
	maxLimit    = 100
	maxTime     = 10 * time.Second
)

// An ordersAPI answers requests for orders. It knows a store, and nothing of pools
// and credentials.
type ordersAPI struct {
	store orders.Store
	log   *slog.Logger
}

func newAPI(store orders.Store, log *slog.Logger) http.Handler {
	a := &ordersAPI{store, log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", a.place)
	mux.HandleFunc("GET /orders", a.latest)
	mux.HandleFunc("GET /orders/{id}", a.get)
	return mux
}

// limited gives each request a time to be answered in.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), maxTime)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (a *ordersAPI) place(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Item     string `json:"item"`
		Quantity int    `json:"quantity"`
	}
	if err := decode(w, r, &in); err != nil {
		a.fail(w, r, err)
		return
	}
	if in.Item == "" || len(in.Item) > maxItem || strings.ContainsRune(in.Item, 0) || in.Quantity < 1 || in.Quantity > maxQuantity {
		a.fail(w, r, badRequest(fmt.Sprintf("an order is of one item, of at most %d bytes, and a quantity of 1 to %d", maxItem, maxQuantity)))
		return
	}
	order, err := a.store.Place(r.Context(), in.Item, in.Quantity)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Location", fmt.Sprintf("/orders/%d", order.ID))
	respond(w, http.StatusCreated, order)
}

func (a *ordersAPI) get(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		a.fail(w, r, orders.ErrNotFound)
		return
	}
	order, err := a.store.Get(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	respond(w, http.StatusOK, order)
}

func (a *ordersAPI) latest(w http.ResponseWriter, r *http.Request) {
	limit := 20
	if text := r.FormValue("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			a.fail(w, r, badRequest(fmt.Sprintf("limit is a number from 1 to %d", maxLimit)))
			return
		}
	}
	latest, err := a.store.Latest(r.Context(), limit)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	respond(w, http.StatusOK, latest)
}

// A badRequest tells a client what to mend.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// decode reads a body that is one JSON object without unknown keys.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("there is more behind it")
		}
	}
	var large *http.MaxBytesError
	if err != nil && !errors.As(err, &large) {
		return badRequest(`the body is not {"item": "tea", "quantity": 1}`)
	}
	return err
}

// fail answers with the status that an error has. What went wrong inside is for
// the log, not for the client.
func (a *ordersAPI) fail(w http.ResponseWriter, r *http.Request, err error) {
	var bad badRequest
	var large *http.MaxBytesError
	status, text := http.StatusInternalServerError, "that is our mistake"
	switch {
	case errors.As(err, &bad):
		status, text = http.StatusBadRequest, string(bad)
	case errors.As(err, &large):
		status, text = http.StatusRequestEntityTooLarge, "the body is too large"
	case errors.Is(err, orders.ErrNotFound):
		status, text = http.StatusNotFound, "no such order"
	case errors.Is(err, orders.ErrSoldOut):
		status, text = http.StatusConflict, "not that many in stock"
	case errors.Is(err, context.Canceled):
		status, text = statusClientLeft, "you have left"
	case unavailable(err):
		status, text = http.StatusServiceUnavailable, "try again later"
		w.Header().Set("Retry-After", "1")
	}
	if status >= http.StatusInternalServerError {
		a.log.ErrorContext(r.Context(), "a request has failed", "route", r.Pattern, "error", err.Error())
	}
	respond(w, status, map[string]string{"error": text})
}

// statusClientLeft is for logs and metrics: nobody is there to read it.
const statusClientLeft = 499

// unavailable tells a database that cannot do its work now from a mistake in
// ours: it did not answer, or it has too few resources, shuts down or refuses
// the login.
func unavailable(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return true
	}
	switch pg.Code[:2] {
	case "08", "28", "53", "57":
		return true
	}
	return false
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has left is not an error
}
