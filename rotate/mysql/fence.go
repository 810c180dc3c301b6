package mysql

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
// in. After a later rotation it does not, unless the user has two passwords: then
// the mark tells that the later one began at c.From.
func (s *server) fence(ctx context.Context, c rotate.Change, from mark) error {
	if from.Token == "" || from.Token == c.From.Version || from.Token == c.Token {
		return nil
	}
	if !from.Old || from.After == "" || from.After != c.From.Version {
		accepted, err := s.Accepts(ctx, c.From)
		if err != nil || accepted {
			return err
		}
	}
	return fmt.Errorf("mysql: user %q was last changed by rotation %q, not by %q, which this one follows; if no other rotation is under way, take the mark away: "+
		"ALTER USER … ATTRIBUTE '{\"rekey\": null}', on MariaDB DELETE FROM %s.rotation: %w", c.From.Username, from.Token, c.From.Version, backticks(s.config.Database), rotate.ErrConflict)
}

// unspent refuses a rotation that has been undone: to is the mark of the user of
// c.To.
func (m mark) unspent(c rotate.Change) error {
	if !slices.Contains(m.Spent, c.Token) {
		return nil
	}
	return fmt.Errorf("mysql: rotation %q of user %q has been undone: %w", c.Token, c.To.Username, rotate.ErrUnfit)
}
