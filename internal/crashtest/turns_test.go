package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"

	"github.com/rekey-go/rekey/rotate"
)

// A fate is what becomes of a call.
type fate int

const (
	done      fate = iota
	unsent         // it fails before the server gets it
	lost           // it is done, and its answer does not come
	deadFirst      // its caller is gone before it
	deadAfter      // its caller is gone when it is done
)

func (f fate) String() string {
	return [...]string{"", "unsent", "answer lost", "crash before", "crash after"}[f]
}

var (
	errUnsent = errors.New("the request was not sent")
	errLost   = errors.New("the answer was lost")
)

// turns lets one call of one actor happen at a time, in an order that the
// generator draws, so that a seed makes it happen once more.
type turns struct {
	rng    *rand.Rand
	faulty float64 // how likely a fate other than done is
	after  func()  // is called when a call is over; nil: nothing is
	said   chan move
	log    []string
}

// A move is what an actor says: it would like to call something, or it is over.
type move struct {
	actor int
	call  string // empty: it is over
}

// An actor does something, a call at a time.
type actor struct {
	do   func(hook) error
	turn chan fate
	err  error
	over bool // it has not crashed
	next string
}

// play has all actors do what they do, and returns when they are over.
func (p *turns) play(actors ...*actor) {
	p.said = make(chan move)
	for i, a := range actors {
		a.turn = make(chan fate)
		go func() {
			defer func() { p.said <- move{actor: i} }() // after a crash as well
			a.err = a.do(p.hook(i, a))
			a.over = true
		}()
		a.next = (<-p.said).call
	}
	for {
		var waiting []int
		for i, a := range actors {
			if a.next != "" {
				waiting = append(waiting, i)
			}
		}
		if len(waiting) == 0 {
			return
		}
		i := waiting[p.rng.IntN(len(waiting))]
		f := done
		if p.rng.Float64() < p.faulty {
			f = unsent + fate(p.rng.IntN(int(deadAfter-unsent)+1))
		}
		p.log = append(p.log, strings.TrimSpace(fmt.Sprintf("%c %s %v", 'A'+i, actors[i].next, f)))
		actors[i].turn <- f
		actors[i].next = (<-p.said).call
		if p.after != nil {
			p.after()
		}
	}
}

func (p *turns) hook(i int, a *actor) hook {
	return func(ctx context.Context, name string, call func(context.Context) error) error {
		p.said <- move{i, name}
		f := <-a.turn
		if f == deadFirst {
			runtime.Goexit()
		}
		if f == unsent {
			return errUnsent
		}
		err := call(ctx)
		switch f {
		case lost:
			return errLost
		case deadAfter:
			runtime.Goexit()
		}
		return err
	}
}

// act is an actor that rotates, or rolls back, over what it is given.
func act(c rotate.Config, back bool) *actor {
	return &actor{do: func(h hook) error {
		c.Store, c.Target = hookedStore{c.Store, h}, hookedTarget{c.Target, h}
		if lock := c.Lock; lock != nil {
			c.Lock = func(ctx context.Context) (unlock func(), err error) {
				err = h(ctx, "Lock", func(ctx context.Context) error {
					unlock, err = lock(ctx)
					return err
				})
				return unlock, err
			}
		}
		r, err := rotate.New(&c)
		if err != nil {
			return err
		}
		do := r.Rotate
		if back {
			do = r.Rollback
		}
		_, err = do(context.Background())
		return err
	}}
}
