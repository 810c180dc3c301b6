package tlsconfig_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/tlsconfig"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// A server and a client that verify each other.
func ExampleServer() {
	ctx := context.Background()
	ca := newAuthority("example", time.Now().AddDate(1, 0, 0))
	store := sourcetest.NewScript() // in life, file.Dir("/etc/tls", …)
	store.Set(ca.pair(time.Hour, ca))
	r, err := refresh.New(ctx, tlsconfig.Source(store), &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	cert, err := tlsconfig.NewCertificate(ctx, r, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer cert.Close()
	roots, err := tlsconfig.NewRoots(ctx, r)
	if err != nil {
		log.Fatal(err)
	}
	defer roots.Close()

	server := &http.Server{TLSConfig: tlsconfig.Server(nil, cert, roots), Handler: http.NotFoundHandler()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.ServeTLS(listener, "", "") }()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsconfig.Client(nil, cert, roots), DisableKeepAlives: true}}
	for range 2 {
		resp, err := client.Get("https://" + named(listener.Addr().String()))
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		fmt.Println(resp.Status, cert.Health().State, cert.Health().Generation)

		store.Set(ca.pair(time.Hour, ca))
		if err := r.Refresh(ctx); err != nil {
			log.Fatal(err)
		}
	}
	_ = server.Close()
	fmt.Println(<-done)
	// Output:
	// 404 Not Found fresh 1
	// 404 Not Found fresh 2
	// http: Server closed
}

func ExampleNewCertificate() {
	ctx := context.Background()
	ca := newAuthority("example", time.Now().AddDate(1, 0, 0))
	store := sourcetest.NewScript()
	store.Set(ca.pair(time.Hour))
	r, err := refresh.New(ctx, tlsconfig.Source(store), &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	cert, err := tlsconfig.NewCertificate(ctx, r, &tlsconfig.Options{Warn: 2 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	defer cert.Close()
	fmt.Println(cert.Get().Leaf.Subject, cert.Health().State) // it ends in an hour

	store.Set(ca.pair(24 * time.Hour))
	fmt.Println(r.Refresh(ctx), cert.Health().State)
	// Output:
	// CN=localhost degraded
	// <nil> fresh
}

func ExampleNewRoots() {
	ctx := context.Background()
	ca := newAuthority("example", time.Now().AddDate(1, 0, 0))
	store := sourcetest.NewScript()
	store.Set(ca.pair(time.Hour, ca))
	r, err := refresh.New(ctx, store, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	roots, err := tlsconfig.NewRoots(ctx, r)
	if err != nil {
		log.Fatal(err)
	}
	defer roots.Close()

	before := roots.Get()
	store.Set(ca.pair(time.Hour)) // without roots, by mistake
	fmt.Println(errors.Is(r.Refresh(ctx), refresh.ErrRejected), roots.Get() == before)

	next := newAuthority("next", time.Now().AddDate(1, 0, 0))
	store.Set(ca.pair(time.Hour, ca, next))
	fmt.Println(r.Refresh(ctx), roots.Get() == before)
	// Output:
	// true true
	// <nil> false
}

// A client that has no certificate of its own, and trusts the roots of the day.
func ExampleClient() {
	ctx := context.Background()
	ca := newAuthority("example", time.Now().AddDate(1, 0, 0))
	store := sourcetest.NewScript() // in life, file.Dir("/etc/roots", …)
	store.Set(ca.pair(time.Hour, ca))
	r, err := refresh.New(ctx, store, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	roots, err := tlsconfig.NewRoots(ctx, r)
	if err != nil {
		log.Fatal(err)
	}
	defer roots.Close()

	transport := &http.Transport{TLSClientConfig: tlsconfig.Client(nil, nil, roots), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	fmt.Println(transport.TLSClientConfig.VerifyConnection != nil)
	// Output: true
}

// The end of a credential is that of its certificate.
func ExampleSource() {
	ca := newAuthority("example", time.Now().AddDate(1, 0, 0))
	store := sourcetest.NewScript()
	store.Set(ca.pair(90 * time.Minute))
	c, err := tlsconfig.Source(store).Credential(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(time.Until(c.Expires).Round(time.Minute), c.Reason)
	// Output: 1h30m0s certificate
}
