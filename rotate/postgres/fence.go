package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/rekey-go/rekey/rotate"
)

// A rotation may be late: its process slept between its look at the store and
// its change here, and meanwhile others have finished it, undone it, or begun
// the next one. The marks tell, under a lock that all of them take.

// fence refuses a rotation that does not begin at what is current: from is the
// mark of the user of c.From. A mark of another rotation may be out of date, too,
// where somebody has set a password by hand and told the store; then c.From logs
// in. After a later rotation it does not.
func (s *server) fence(ctx context.Context, c rotate.Change, from mark) error {
	if from.token == "" || from.token == c.From.Version || from.token == c.Token {
		return nil
	}
	accepted, err := s.Accepts(ctx, c.From)
	if err != nil {
		return err
	}
	if !accepted {
		return fmt.Errorf("postgres: role %q was last changed by rotation %q, not by %q, which this one follows, and does not accept the password of that; "+
			"if no other rotation is under way, take the mark [rekey …] out of the role's comment: %w", c.From.Username, from.token, c.From.Version, rotate.ErrConflict)
	}
	return nil
}

// unspent refuses a rotation that has been undone: to is the mark of the user of
// c.To.
func (m mark) unspent(c rotate.Change) error {
	if !slices.Contains(m.spent, c.Token) {
		return nil
	}
	return fmt.Errorf("postgres: rotation %q of role %q has been undone: %w", c.Token, c.To.Username, rotate.ErrUnfit)
}
