package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

var strategies = []rotate.Strategy{
	{Name: "single user", InPlace: true}, {Name: "alternating users", Reuses: true}, {Name: "parallel role", Leaves: true},
}

// trials is how many interleavings of each strategy the model goes through.
const trials = 2000

// Two or three rotators of one secret, call by call in every order that is
// drawn, with requests that break and processes that crash.
func TestInvariantInterleavings(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	for _, s := range strategies {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for n := range uint64(trials) {
				rng := rand.New(rand.NewPCG(seed, n))
				g := newGame(t, s, rng)
				g.play()
				if t.Failed() {
					t.Fatalf("trial %d:\n%s", n, strings.Join(g.turns.log, "\n"))
				}
			}
		})
	}
}

// A game is a trial on a model.
type game struct {
	t      *testing.T
	m      *model
	turns  *turns
	config rotate.Config
	drawn  int
	locked bool
	backs  bool // somebody rolls back
}

func newGame(t *testing.T, s rotate.Strategy, rng *rand.Rand) *game {
	g := &game{t: t, m: newModel(s), turns: &turns{rng: rng}}
	g.config = rotate.Config{Store: modelStore{g.m}, Target: modelTarget{g.m}, Generate: g.draw}
	return g
}

func (g *game) draw() (source.Secret, error) {
	g.drawn++
	return source.NewSecret(fmt.Sprintf("drawn-%d", g.drawn)), nil
}

// lock is one that ends with who has it.
func (g *game) lock(context.Context) (func(), error) {
	if g.locked {
		return nil, rotate.ErrRunning
	}
	g.locked = true
	return func() { g.locked = false }, nil
}

func (g *game) play() {
	rng := g.turns.rng
	if rng.IntN(2) == 0 {
		require.NoError(g.t, g.alone(false)) // there is a previous version
	}
	first := g.m.state.Current.Token
	if rng.IntN(2) == 0 {
		g.turns.faulty = rng.Float64() * 0.2
	}
	if rng.IntN(3) == 0 {
		g.config.Lock = g.lock
	}
	actors := []*actor{act(g.config, false)}
	for range 1 + rng.IntN(2) {
		back := rng.IntN(3) == 0
		g.backs = g.backs || back
		actors = append(actors, act(g.config, back))
	}
	g.turns.after = g.check
	g.turns.play(actors...)
	won := 0
	for _, a := range actors {
		if a.over && a.err == nil {
			won++
		}
		g.explained(a)
	}
	if g.turns.faulty == 0 && !g.backs {
		if won == 0 || g.m.state.Current.Token == first {
			g.t.Errorf("nobody has rotated")
		}
	}
	g.converges()
}

// explained looks for errors that should not be.
func (g *game) explained(a *actor) {
	for _, is := range []error{nil, errUnsent, errLost, rotate.ErrConflict, rotate.ErrRunning} {
		if errors.Is(a.err, is) {
			return
		}
	}
	for _, is := range []error{rotate.ErrUnfit, rotate.ErrMismatch, rotate.ErrNothing} {
		if g.backs && errors.Is(a.err, is) {
			return
		}
	}
	g.t.Errorf("it ended with %v", a.err)
}

// check is done after each call.
func (g *game) check() {
	m := g.m
	for token, n := range m.promoted {
		if n > 1 {
			g.t.Errorf("%s was promoted %d times", token, n)
		}
	}
	for name, u := range m.users {
		if u.password != "" && !m.stored[u.password] {
			g.t.Errorf("user %s has a password that was never stored", name)
		}
	}
	current := m.accepts(m.state.Current.Credential)
	switch {
	case current || g.backs:
	case m.strategy.InPlace && m.state.Pending != nil && m.accepts(m.state.Pending.Credential):
	default:
		g.t.Errorf("what is current is not accepted")
	}
}

// alone has one rotator do its work without faults.
func (g *game) alone(back bool) error {
	p := &turns{rng: g.turns.rng}
	config := g.config
	config.Lock = nil
	a := act(config, back)
	p.play(a)
	g.turns.log = append(g.turns.log, fmt.Sprintf("alone: %v, err %v", p.log, a.err))
	return a.err
}

// converges has others finish or undo what is left.
func (g *game) converges() {
	if g.turns.rng.IntN(2) == 0 {
		// Where a rollback has crossed a rotation, what was current before may be
		// undone for good.
		if err := g.alone(true); err != nil && !errors.Is(err, rotate.ErrNothing) && !g.backs {
			g.t.Errorf("rollback: %v", err)
		}
		g.settled()
	}
	if err := g.alone(false); errors.Is(err, rotate.ErrUnfit) && g.backs { // it had been undone, but for the end
		require.NoError(g.t, g.alone(false))
	} else if err != nil {
		g.t.Errorf("rotate: %v", err)
	}
	g.settled()
	// Who was left behind by those who came last is retired by the next.
	if err := g.alone(false); err != nil {
		g.t.Errorf("the next rotation: %v", err)
	}
	g.settled()
	if len(g.m.users) != map[bool]int{true: 2, false: 1}[g.m.strategy.Reuses] {
		g.t.Errorf("users are left: %v", g.m.users)
	}
}

func (g *game) settled() {
	if g.m.state.Pending != nil {
		g.t.Errorf("%s is still pending", g.m.state.Pending.Token)
	}
	if !g.m.accepts(g.m.state.Current.Credential) {
		g.t.Errorf("what is current is not accepted in the end")
	}
}
