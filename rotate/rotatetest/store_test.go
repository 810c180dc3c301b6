package rotatetest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

// A memory is a store without a place, and the smallest that conforms. Several
// handles share it.
type memory struct {
	mu     sync.Mutex
	state  rotate.State
	writes int // of operators
	past   []rotate.Record
	bug    string
}

// A handle is a process's view of a memory.
type handle struct {
	*memory
	fail, lost int           // the writes that are left until one fails
	hang       chan struct{} // nil: it answers
}

var errBroken = errors.New("broken off")

// History is what has been current.
func (h *handle) History(ctx context.Context) ([]rotate.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	past := h.past
	switch h.bug {
	case "forgets its history":
		past = nil
	case "repeats its history":
		past = append(past, past...)
	}
	return past, ctx.Err()
}

func (h *handle) Name() string { return "memory" }

func (h *handle) Read(ctx context.Context) (rotate.State, error) {
	if h.hang != nil {
		close(h.hang)
		<-ctx.Done()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state
	for _, v := range []**rotate.Version{&s.Pending, &s.Previous} {
		if *v != nil {
			c := **v
			*v = &c
		}
	}
	return s, ctx.Err()
}

// change is one write.
func (h *handle) change(ctx context.Context, do func(s *rotate.State) error) error {
	if h.hang != nil {
		close(h.hang)
		if h.bug != "deaf" {
			<-ctx.Done()
		} else {
			time.Sleep(time.Second)
		}
	}
	if err := ctx.Err(); err != nil && h.bug != "ignores the context" {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.state
	if err := do(&s); err != nil {
		return err
	}
	if countdown(&h.fail) {
		if h.bug == "breaks in the middle" && s.Pending == nil {
			h.state.Pending = nil
		}
		return errBroken
	}
	if s.Current.Token != h.state.Current.Token {
		h.past = append(h.past, rotate.Record{Token: s.Current.Token, Time: time.Now()})
	}
	h.state = s
	if countdown(&h.lost) {
		return errBroken
	}
	return nil
}

// countdown reports whether this is the last of n.
func countdown(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return *n == 0
}

func conflict(why string) error { return fmt.Errorf("%s: %w", why, rotate.ErrConflict) }

func is(v *rotate.Version, token string) bool { return v != nil && v.Token == token }

func (h *handle) Create(ctx context.Context, token string, next source.Credential) error {
	if p := next.Password.Reveal(); h.bug != "takes any password" && (p == "" || strings.ContainsRune(p, 0) || strings.ToValidUTF8(p, "") != p) || token == "" {
		return errors.New("unusable")
	}
	if h.bug == "looks before" {
		s, _ := h.Read(ctx)
		runtime.Gosched()
		time.Sleep(time.Millisecond)
		if s.Pending == nil && s.Current.Token != token {
			return h.change(ctx, func(s *rotate.State) error { s.Pending = h.version(s, token, next); return nil })
		}
	}
	return h.change(ctx, func(s *rotate.State) error {
		switch {
		case is(s.Pending, token) && h.bug == "replaces pending":
		case is(&s.Current, token) && h.bug != "forgets what was", is(s.Pending, token):
			return nil
		case s.Pending != nil && h.bug != "takes over":
			err := conflict("another is pending")
			if h.bug == "talks" {
				err = fmt.Errorf("%w instead of %s", err, s.Pending.Credential.Password.Reveal())
			}
			return err
		}
		s.Pending = h.version(s, token, next)
		return nil
	})
}

func (h *handle) version(s *rotate.State, token string, next source.Credential) *rotate.Version {
	c := s.Current.Credential
	fields := make(map[string]source.Secret)
	for _, from := range []source.Credential{c, next} {
		for _, name := range from.FieldNames() {
			fields[name], _ = from.Field(name)
		}
	}
	switch h.bug {
	case "takes its fields":
		c = next
	case "leaves its fields":
	default:
		c = c.WithFields(fields)
	}
	c.Username, c.Password, c.Version = next.Username, next.Password, token
	if h.bug == "trims" {
		c.Password = source.NewSecret(strings.TrimSpace(next.Username) + c.Password.Reveal()[:min(4096, len(c.Password.Reveal()))])
	}
	return &rotate.Version{Token: token, Credential: c}
}

func (h *handle) Promote(ctx context.Context, token, from string) error {
	return h.change(ctx, func(s *rotate.State) error {
		switch {
		case is(&s.Current, token) && h.bug != "promotes once only":
			return nil
		case !is(&s.Current, from) && h.bug != "does not compare":
			return conflict("another is current")
		case !is(s.Pending, token):
			return conflict("it is not pending")
		}
		old := s.Current
		s.Current, s.Pending, s.Previous = *s.Pending, nil, &old
		switch h.bug {
		case "keeps pending":
			s.Pending = &s.Current
		case "has no previous":
			s.Previous = nil
		case "mixes":
			s.Current.Credential.Username = old.Credential.Username
		}
		return nil
	})
}

func (h *handle) Discard(ctx context.Context, token string) error {
	return h.change(ctx, func(s *rotate.State) error {
		if is(s.Pending, token) || h.bug == "discards any" {
			s.Pending = nil
		} else if h.bug == "insists" {
			return conflict("it is not pending")
		}
		return nil
	})
}

func (h *handle) Restore(ctx context.Context, to, from string) error {
	return h.change(ctx, func(s *rotate.State) error {
		switch {
		case is(&s.Current, to):
			return nil
		case !is(&s.Current, from) && h.bug != "restores from anywhere":
			return conflict("another is current")
		case !is(s.Previous, to) && (h.bug != "restores pending" || !is(s.Pending, to)):
			return conflict("it is not previous")
		}
		old := s.Current
		s.Current, s.Previous = *cmp.Or(s.Previous, s.Pending), &old
		return nil
	})
}

// envBug names what is wrong with the store.
const envBug = "REKEY_TEST_STORE_BUG"

func TestStoreConforms(t *testing.T) {
	rotatetest.Store(t, func(t *testing.T) rotatetest.StoreHarness {
		m := &memory{bug: os.Getenv(envBug)}
		c := source.Credential{Username: "app", Password: source.NewSecret("canary of the first"), Version: "first"}
		c = c.WithFields(map[string]source.Secret{"host": source.NewSecret("db.internal"), "port": source.NewSecret("5432")})
		m.state.Current = rotate.Version{Token: "first", Credential: c}
		h := &handle{memory: m}
		return rotatetest.StoreHarness{
			Store: h, Other: &handle{memory: m},
			Overwrite: func(_ *testing.T, username, password string) {
				m.mu.Lock()
				defer m.mu.Unlock()
				old := m.state.Current
				if m.bug == "does not notice" {
					m.state.Current.Credential.Username, m.state.Current.Credential.Password = username, source.NewSecret(password)
					return
				}
				m.writes++
				token := fmt.Sprint("by hand ", m.writes)
				m.state.Current.Token, m.state.Previous = token, &old
				m.state.Current.Credential.Username, m.state.Current.Credential.Password, m.state.Current.Credential.Version = username, source.NewSecret(password), token
			},
			Fail: func(_ *testing.T, n int, lost bool) (hit func() bool) {
				if h.fail, h.lost = n, 0; lost {
					h.fail, h.lost = 0, n
				}
				return func() bool {
					hit := h.fail <= 0 && h.lost <= 0
					h.fail, h.lost = 0, 0
					return hit
				}
			},
			Hang: func(*testing.T) <-chan struct{} {
				h.hang = make(chan struct{})
				return h.hang
			},
		}
	})
}

// The suite has to find each of these.
func TestStoreSuiteFinds(t *testing.T) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for bug, check := range map[string]string{
		"deaf":                   "Canceled",
		"ignores the context":    "Canceled",
		"breaks in the middle":   "Broken",
		"takes any password":     "CreateUnusable",
		"looks before":           "RaceToCreate",
		"replaces pending":       "Create",
		"forgets what was":       "Create",
		"takes over":             "CreateOnePending",
		"talks":                  "CreateOnePending",
		"takes its fields":       "CreateFields",
		"leaves its fields":      "CreateFields",
		"forgets its history":    "History",
		"repeats its history":    "History",
		"trims":                  "Odd",
		"promotes once only":     "Promote",
		"does not compare":       "PromoteRefused",
		"keeps pending":          "Promote",
		"has no previous":        "Promote",
		"mixes":                  "Promote",
		"discards any":           "Discard",
		"insists":                "Discard",
		"restores from anywhere": "RestoreRefused",
		"restores pending":       "RestoreRefused",
		"does not notice":        "Overwritten",
	} {
		t.Run(bug, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), me, "-test.run=^TestStoreConforms$/^"+check+"$")
			cmd.Env = append(os.Environ(), envBug+"="+bug)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(string(out), "--- FAIL: TestStoreConforms/"+check) || strings.Contains(string(out), "panic:") {
				t.Errorf("check %s does not find it: %v\n%s", check, err, out)
			}
		})
	}
}
