package mysql

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// identified is the clause that gives a user a password, by its hash. On MariaDB
// there may be several, each of which is accepted.
func (x *session) identified(passwords ...source.Secret) (string, error) {
	if !x.mariaDB {
		hash, err := CachingSHA2Hash(passwords[0], &HashOptions{Rounds: x.config.Rounds})
		return " identified with caching_sha2_password as 0x" + hex.EncodeToString([]byte(hash.Reveal())), err
	}
	var ways []string
	for _, p := range passwords {
		hash, err := NativeHash(p)
		if err != nil {
			return "", err
		}
		ways = append(ways, "mysql_native_password using '"+hash.Reveal()+"'")
	}
	return " identified via " + strings.Join(ways, " or "), nil
}

// give is put with one password.
func (x *session) give(ctx context.Context, user string, password source.Secret, before, after mark, claim bool) error {
	clause, err := x.identified(password)
	if err != nil {
		return err
	}
	return x.put(ctx, user, clause, before, after, claim)
}

// Applied reads the mark of the user of c.To. On MariaDB, where it is written
// before the password is changed, a login tells whether that has happened.
func (s *server) Applied(ctx context.Context, c rotate.Change) (bool, error) {
	var m mark
	var mariaDB bool
	err := s.admin(ctx, func(x *session) (err error) {
		mariaDB = x.mariaDB
		m, err = x.read(ctx, c.To.Username)
		return err
	})
	if err != nil || c.Token == "" || m.Token != c.Token || !mariaDB {
		return err == nil && c.Token != "" && m.Token == c.Token, err
	}
	return s.Accepts(ctx, c.To)
}
