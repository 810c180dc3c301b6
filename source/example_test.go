package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rekey-go/rekey/source"
)

func ExampleNewSecret() {
	password := source.NewSecret("correct horse")
	fmt.Printf("%v %+v %#v\n", password, password, struct{ P source.Secret }{password})
	fmt.Println(len(password.Reveal()))
	// Output:
	// [redacted] [redacted] struct { P source.Secret }{P:[redacted]}
	// 13
}

func ExampleStatic() {
	src := source.Static("app", source.NewSecret("correct horse"))
	c, err := src.Credential(context.Background())
	fmt.Println(c, err)
	// Output: credential of user "app" version "" <nil>
}

func ExampleEnv() {
	_ = os.Setenv("EXAMPLE_DB_USER", "app")
	_ = os.Unsetenv("EXAMPLE_DB_PASSWORD")
	src := source.Env("EXAMPLE_DB_USER", "EXAMPLE_DB_PASSWORD")
	_, err := src.Credential(context.Background())
	fmt.Println(err)
	// Output: environment: field "EXAMPLE_DB_PASSWORD" is not set; it should hold the password
}

func ExampleFallback() {
	store := source.Func(func(context.Context) (source.Credential, error) {
		return source.Credential{}, errors.New("the store is away")
	})
	src := source.Fallback(store, source.Static("app", source.NewSecret("from the last deployment")))
	c, err := src.Credential(context.Background())
	fmt.Println(c.Username, err)
	// Output: app <nil>
}

func ExampleFunc() {
	var src source.Source = source.Func(func(context.Context) (source.Credential, error) {
		return source.Credential{Username: "app", Password: source.NewSecret("pw"), Version: "7"}, nil
	})
	c, err := src.Credential(context.Background())
	fmt.Println(c, err)
	// Output: credential of user "app" version "7" <nil>
}

func ExamplePermanent() {
	denied := errors.New("403: the policy does not allow reading this path")
	err := fmt.Errorf("vault: %w", source.Permanent(denied))
	fmt.Println(source.IsPermanent(err), errors.Is(err, denied))
	// Output: true true
}

func ExampleBypassCache() {
	cached := source.Credential{Username: "before"}
	src := source.Func(func(ctx context.Context) (source.Credential, error) {
		if source.CacheBypassed(ctx) {
			cached = source.Credential{Username: "after"}
		}
		return cached, nil
	})
	c, _ := src.Credential(context.Background())
	fmt.Println(c.Username)
	c, _ = src.Credential(source.BypassCache(context.Background()))
	fmt.Println(c.Username)
	// Output:
	// before
	// after
}
