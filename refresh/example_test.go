package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// store is where the examples keep their credentials.
type store struct{ current chan source.Credential }

func newStore(user, password string) *store {
	s := &store{make(chan source.Credential, 1)}
	s.set(user, password)
	return s
}

func (s *store) set(user, password string) {
	select {
	case <-s.current:
	default:
	}
	s.current <- source.Credential{Username: user, Password: source.NewSecret(password), Version: "of " + user}
}

func (s *store) Credential(context.Context) (source.Credential, error) {
	c := <-s.current
	s.current <- c
	return c, nil
}

func ExampleNew() {
	ctx := context.Background()
	r, err := refresh.New(ctx, newStore("app_1", "correct horse"), &refresh.Options{
		Poll:   time.Minute,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()

	snap, err := r.Latest(ctx) // an atomic load
	fmt.Println(snap.Generation, snap, err)
	fmt.Println(len(snap.Password.Reveal()), r.Health().State)
	// Output:
	// 1 credential of user "app_1" version "of app_1" <nil>
	// 13 fresh
}

func ExampleDerive() {
	ctx := context.Background()
	src := newStore("payments", "4711")
	r, err := refresh.New(ctx, src, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()

	key, err := refresh.Derive(ctx, r, func(s refresh.Snapshot) (int, error) {
		n, err := strconv.Atoi(s.Password.Reveal())
		if err != nil {
			return 0, errors.New("the key is no number") // never the secret itself
		}
		return n, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key.Get() > 0)

	src.set("payments", "not a number")
	err = r.Refresh(ctx)
	fmt.Println(errors.Is(err, refresh.ErrRejected), key.Generation())

	src.set("payments", "4712")
	fmt.Println(r.Refresh(ctx), key.Generation())
	// Output:
	// true
	// true 1
	// <nil> 2
}

func ExampleRefresher_OnChange() {
	ctx := context.Background()
	src := newStore("app_1", "correct horse")
	r, err := refresh.New(ctx, src, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	stop := r.OnChange(func(s refresh.Snapshot) { fmt.Println("now", s.Username) })
	defer stop()

	src.set("app_2", "battery staple")
	fmt.Println(r.Refresh(ctx))
	// Output:
	// now app_2
	// <nil>
}

// A pinger logs in where the credential is to be used.
type pinger struct{}

func (pinger) Verify(_ context.Context, s refresh.Snapshot) error {
	if s.Username != "app_1" {
		return fmt.Errorf("no user %q here: %w", s.Username, refresh.ErrRejected)
	}
	return nil
}

func (pinger) Changed() {}

func ExampleRefresher_Attach() {
	ctx := context.Background()
	src := newStore("app_1", "correct horse")
	r, err := refresh.New(ctx, src, &refresh.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	a, err := r.Attach(ctx, pinger{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Detach()

	src.set("app_2", "battery staple")
	fmt.Println(r.Refresh(ctx))
	fmt.Println(r.Current().Username)

	login, err := a.Hold(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer login.Release() // when the connection is closed
	fmt.Println(login.Snapshot().Username, login.Current())
	// Output:
	// the source's new credential of user "app_2", version "of app_2", does not work, the old one stays: no user "app_2" here: credential rejected
	// app_1
	// app_1 true
}

// A refresher is a source itself, so refreshers can stand behind one another.
var _ source.Watcher = (*refresh.Refresher)(nil)
