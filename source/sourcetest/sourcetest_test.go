package sourcetest_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// credentials hands out credentials that are all different.
type credentials struct{ n int }

func (c *credentials) next() source.Credential {
	c.n++
	return source.Credential{
		Username: fmt.Sprintf("user-%d", c.n),
		Password: source.NewSecret(fmt.Sprintf("CANARY-%d-x7Qz", c.n)),
	}
}

func TestStaticConforms(t *testing.T) {
	sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
		return sourcetest.Harness{Source: source.Static("app", source.NewSecret("CANARY-x7Qz"))}
	})
}

func TestFuncConforms(t *testing.T) {
	sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
		var (
			made    credentials
			current atomic.Pointer[source.Credential]
			broken  atomic.Bool
		)
		rotate := func(*testing.T) source.Credential {
			c := made.next()
			current.Store(&c)
			return c
		}
		rotate(nil)
		return sourcetest.Harness{
			Source: source.Func(func(ctx context.Context) (source.Credential, error) {
				if broken.Load() {
					return source.Credential{}, errors.New("the store is away")
				}
				return *current.Load(), ctx.Err()
			}),
			Rotate: rotate,
			Break:  func(*testing.T) { broken.Store(true) },
			Mend:   func(*testing.T) { broken.Store(false) },
		}
	})
}

func TestEnvConforms(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		var made credentials
		set := func(t *testing.T, c source.Credential) source.Credential {
			t.Setenv("REKEY_TEST_USER", c.Username)
			t.Setenv("REKEY_TEST_PASSWORD", c.Password.Reveal())
			return c
		}
		current := set(t, made.next())
		return sourcetest.Harness{
			Source: source.Env("REKEY_TEST_USER", "REKEY_TEST_PASSWORD"),
			Rotate: func(t *testing.T) source.Credential {
				current = set(t, made.next())
				return current
			},
			Break: func(t *testing.T) { t.Setenv("REKEY_TEST_USER", "") },
			Mend:  func(t *testing.T) { set(t, current) },
		}
	})
}

// scripted is the harness of a source in front of s.
func scripted(s *sourcetest.Script, src source.Source) sourcetest.Harness {
	var made credentials
	s.Set(made.next())
	return sourcetest.Harness{
		Source: src,
		Rotate: func(*testing.T) source.Credential {
			c := made.next()
			s.Set(c)
			s.Changed()
			return c
		},
		Break: func(*testing.T) { s.Fail(errors.New("scripted failure")) },
		Mend:  func(*testing.T) { s.Recover() },
	}
}

func TestScriptConforms(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
			s := sourcetest.NewScript()
			return scripted(s, s)
		})
	})
	t.Run("leased", func(t *testing.T) {
		sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
			s := sourcetest.NewScript()
			s.TTL(time.Hour)
			return scripted(s, s)
		})
	})
	t.Run("dynamic", func(t *testing.T) {
		sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
			s := sourcetest.NewScript()
			s.TTL(time.Hour)
			s.Dynamic(true)
			h := scripted(s, s)
			h.Dynamic, h.Rotate = true, nil
			return h
		})
	})
}

func TestFallbackConforms(t *testing.T) {
	for name, order := range map[string]func(away, s source.Source) source.Source{
		"first answers":  func(away, s source.Source) source.Source { return source.Fallback(s, away) },
		"second answers": func(away, s source.Source) source.Source { return source.Fallback(away, s) },
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
				away := source.Func(func(ctx context.Context) (source.Credential, error) {
					if err := ctx.Err(); err != nil {
						return source.Credential{}, err
					}
					return source.Credential{}, errors.New("away")
				})
				s := sourcetest.NewScript()
				return scripted(s, order(away, s))
			})
		})
	}
}
