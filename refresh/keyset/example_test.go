package keyset_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/keyset"
	"github.com/rekey-go/rekey/source/jwk"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func ExampleNew() {
	ctx := context.Background()
	store := sourcetest.NewScript() // in life, file.JSON or another source
	store.Set(cred("key_0", generate(jwk.EdDSA)))
	r, err := refresh.New(ctx, store, &refresh.Options{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	keys, err := keyset.New(ctx, r, &keyset.Options{Keep: 2 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()

	token, err := keys.Sign(jwt.Claims{Subject: "anna", Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))})
	if err != nil {
		log.Fatal(err)
	}
	store.Set(cred("key_1", generate(jwk.EdDSA)))
	if err := r.Refresh(ctx); err != nil {
		log.Fatal(err)
	}
	var claims jwt.Claims
	fmt.Println(keys.Verify(token, &claims), claims.Subject)
	// Output: <nil> anna
}

func ExampleNewVerifier() {
	ctx := context.Background()
	store := sourcetest.NewScript()
	store.Set(cred("key_0", generate(jwk.ES256)))
	r, err := refresh.New(ctx, store, &refresh.Options{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	keys, err := keyset.New(ctx, r, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	issuer := httptest.NewServer(keys.Handler(5 * time.Minute)) // at /.well-known/jwks.json
	defer issuer.Close()

	client := issuer.Client()
	defer client.CloseIdleConnections()
	published, err := refresh.New(ctx, keyset.Published(issuer.URL, client), &refresh.Options{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer published.Close()
	v, err := keyset.NewVerifier(ctx, published, &keyset.VerifierOptions{Expect: keyset.Expect{Issuer: "https://issuer.example"}})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	for _, issuer := range []string{"https://issuer.example", "https://other.example"} {
		token, err := keys.Sign(jwt.Claims{Issuer: issuer, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(v.Verify(token))
	}
	// Output:
	// <nil>
	// keyset: the token is not accepted: go-jose/go-jose/jwt: validation failed, invalid issuer claim (iss)
}
