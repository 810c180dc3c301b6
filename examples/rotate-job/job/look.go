package job

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// A version is one of a secret, without its values.
type version struct {
	Token    string    `json:"token"`
	User     string    `json:"user"`
	Created  time.Time `json:"created,omitzero"`
	Accepted *bool     `json:"accepted,omitempty"` // nil: not tried
}

// A standing is how a secret stands: what status and plan print.
type standing struct {
	Secret    string     `json:"secret"`
	Strategy  string     `json:"strategy,omitempty"`
	Current   *version   `json:"current,omitempty"`
	Pending   *version   `json:"pending,omitempty"`
	Previous  *version   `json:"previous,omitempty"`
	Left      []string   `json:"left,omitempty"`
	Due       time.Time  `json:"due,omitzero"`
	Next      string     `json:"next,omitempty"` // what a run would do first; empty: nothing
	Steps     []string   `json:"steps,omitempty"`
	Consumers []consumer `json:"consumers,omitempty"`
	Mismatch  string     `json:"mismatch,omitempty"`
	Error     string     `json:"error,omitempty"`

	now time.Time
	err error
}

type consumer struct {
	Application string `json:"application"`
	Expected    bool   `json:"expected"` // or nobody has said who is
	Sessions    int    `json:"sessions"`
	Behind      int    `json:"behind"`
}

// look asks for a plan, which tells all that a status does.
func (s *secret) look(ctx context.Context) standing {
	now := time.Now()
	st := standing{Secret: s.Name, now: now}
	r, err := s.rotator(nil)
	if err != nil {
		return st.failed(err)
	}
	p, err := r.Plan(ctx)
	if err != nil {
		return st.failed(err)
	}
	st.Strategy, st.Left, st.Mismatch = p.Strategy.Name, p.Left, p.Mismatch
	st.Current, st.Pending, st.Previous = viewOf(p.Current, true), viewOf(p.Pending, true), viewOf(p.Previous, false)
	st.Due = s.schedule.Next(p.Rotated, now)
	for _, step := range p.Steps {
		if step == rotate.StepApprove && !s.Approve {
			continue // nobody is asked
		}
		st.Steps = append(st.Steps, string(step))
	}
	if p.Pending != nil || len(p.Left) > 0 || !st.Due.After(now) {
		st.Next = string(p.Next)
	}
	for _, c := range p.Consumers {
		if c.Application == own {
			continue
		}
		known := c.Expected || len(s.Consumers) == 0
		st.Consumers = append(st.Consumers, consumer{c.Application, known, c.Sessions, c.Behind})
	}
	if st.Mismatch != "" {
		st.err = rotate.ErrMismatch
	}
	return st
}

func (st standing) failed(err error) standing {
	st.err, st.Error = err, err.Error()
	return st
}

func viewOf(i *rotate.Info, tried bool) *version {
	if i == nil {
		return nil
	}
	v := &version{Token: i.Token, User: i.User, Created: i.Created.UTC()}
	if tried {
		v.Accepted = &i.Accepted
	}
	return v
}

func status(ctx context.Context, c *call) (int, error) {
	return c.stand(ctx, func(st *standing) { st.Steps = nil })
}

func plan(ctx context.Context, c *call) (int, error) {
	return c.stand(ctx, func(*standing) {})
}

// stand prints how the secrets stand.
func (c *call) stand(ctx context.Context, adjust func(*standing)) (int, error) {
	var all []standing
	var exits []int
	for _, s := range c.secrets {
		st := s.look(ctx)
		adjust(&st)
		all = append(all, st)
		exits = append(exits, codeOf(st.err))
	}
	return worst(exits), c.print(all, func(w io.Writer) {
		for _, st := range all {
			st.print(w)
		}
	})
}

func (st standing) print(w io.Writer) {
	if st.Error != "" {
		fmt.Fprintf(w, "%s: cannot be looked at: %s\n", st.Secret, st.Error)
		return
	}
	fmt.Fprintf(w, "%s: %s\n", st.Secret, st.Strategy)
	row := func(name, format string, a ...any) {
		fmt.Fprintf(w, "  %-9s "+format+"\n", append([]any{name}, a...)...)
	}
	for _, v := range []struct {
		name string
		*version
	}{{"current", st.Current}, {"pending", st.Pending}, {"previous", st.Previous}} {
		if v.version != nil {
			row(v.name, "%s", v.version)
		}
	}
	if len(st.Left) > 0 {
		row("left", "%s: not retired yet", strings.Join(st.Left, ", "))
	}
	for _, c := range st.Consumers {
		row("consumer", "%s", c)
	}
	switch {
	case st.Due.IsZero():
		row("due", "never")
	case st.Due.After(st.now):
		row("due", "%s", stamp(st.Due))
	default:
		row("due", "now")
	}
	if st.Steps != nil {
		first := "a rotation would be"
		if st.Pending != nil {
			first = "left to do"
		}
		row("steps", "%s: %s", first, strings.Join(st.Steps, " → "))
	}
	row("next", "%s", cmp.Or(st.Next, "nothing until then"))
	if st.Mismatch != "" {
		row("MISMATCH", "%s", st.Mismatch)
	}
}

func (v *version) String() string {
	text := v.Token + ", user " + v.User
	if !v.Created.IsZero() {
		text += ", of " + stamp(v.Created)
	}
	switch {
	case v.Accepted == nil:
	case *v.Accepted:
		text += ", logs in"
	default:
		text += ", does not log in"
	}
	return text
}

func (c consumer) String() string {
	name := c.Application
	if name == "" {
		name = "(no name)"
	}
	text := fmt.Sprintf("%s: %d sessions", name, c.Sessions)
	if c.Behind > 0 {
		text += fmt.Sprintf(", %d of them with an older credential", c.Behind)
	}
	if c.Expected && c.Sessions == 0 {
		text += ", though it is expected"
	}
	if !c.Expected {
		text += ", which nobody expects"
	}
	return text
}

// stamp writes a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
