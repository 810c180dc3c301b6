package apikey_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/apikey"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// follows returns a refresher of a store in memory.
func follows(key string) (*sourcetest.Script, *refresh.Refresher) {
	store := sourcetest.NewScript()
	store.Set(cred(key))
	r, err := refresh.New(context.Background(), store, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return store, r
}

func ExampleNew() {
	accepted := "old key"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != accepted {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()

	store, r := follows("old key") // in life, file.JSON or another source
	defer r.Close()
	key, err := apikey.New(context.Background(), r, server.URL, &apikey.Options{Form: apikey.Form{Header: "X-Api-Key"}})
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()
	client := &http.Client{Transport: key}
	defer client.CloseIdleConnections()

	for range 2 {
		resp, err := client.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
		fmt.Println(resp.Status, "generation", r.Current().Generation)
		store.Set(cred("new key"))
		accepted = "new key"
	}
	// Output:
	// 200 OK generation 1
	// 200 OK generation 2
}

func ExampleNewAcceptor() {
	store, r := follows("old key")
	defer r.Close()
	keys, err := apikey.NewAcceptor(context.Background(), r, &apikey.AcceptorOptions{Also: []string{"next"}})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	h := keys.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	store.Set(cred("new key"))
	if err := r.Refresh(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ask(h, "Bearer old key"), ask(h, "Bearer new key"), ask(h, "Bearer no key"))
	// Output: 200 200 401
}
