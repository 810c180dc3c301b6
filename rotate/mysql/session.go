package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A session is one of the rotator's own user.
type session struct {
	*sql.Conn
	config  *Config
	mariaDB bool
	mode    string // sql_mode
}

// admin runs f in a session of the rotator.
func (s *server) admin(ctx context.Context, f func(*session) error) error {
	conn, err := s.config.Admin.Conn(ctx)
	if err != nil {
		return ownError(err)
	}
	defer func() { _ = conn.Close() }() // back to the handle
	x := &session{Conn: conn, config: &s.config}
	var version, charset string
	if err := conn.QueryRowContext(ctx, "select version(), @@sql_mode, @@character_set_client").Scan(&version, &x.mode, &charset); err != nil {
		return fmt.Errorf("mysql: the rotator's session: %w", err)
	}
	if !strings.HasPrefix(charset, "utf8") {
		return &OptionError{"Admin", "has sessions in " + charset + "; quoting is safe in utf8mb4, which is the driver's default"}
	}
	x.mariaDB = strings.Contains(version, "MariaDB")
	if err := checkVersion(version, x.mariaDB); err != nil {
		return err
	}
	return f(x)
}

// oldest are the versions from which users can have two passwords, and MySQL's
// have attributes.
var oldest = map[bool][]int{true: {10, 4, 0}, false: {8, 0, 21}}

func checkVersion(version string, mariaDB bool) error {
	parts := strings.FieldsFunc(version, func(c rune) bool { return c < '0' || c > '9' })
	var numbers []int
	for _, p := range parts[:min(3, len(parts))] {
		n, err := strconv.Atoi(p)
		if err != nil {
			break // too long for a part of a version
		}
		numbers = append(numbers, n)
	}
	if slices.Compare(numbers, oldest[mariaDB]) < 0 {
		return &VersionError{version}
	}
	return nil
}

// change runs f in a session of the rotator, under the locks of users: what f
// reads, it may act upon. Neither product has a transaction around users; the
// locks are the server's and end with the session, after its last statement.
func (s *server) change(ctx context.Context, f func(*session) error, users ...string) error {
	return s.admin(ctx, func(x *session) error {
		users = slices.Clone(users)
		slices.Sort(users) // who locks two does so in this order
		for _, user := range users {
			if err := x.lock(ctx, lockName("user", user+"@"+s.config.Host)); err != nil {
				return err
			}
			defer x.unlock(ctx, lockName("user", user+"@"+s.config.Host))
		}
		return f(x)
	})
}

// lockName is at most 64 characters, as lock names have to be.
func lockName(what, name string) string {
	sum := sha256.Sum256([]byte(name))
	return "rekey " + what + " " + hex.EncodeToString(sum[:20])
}

func (x *session) lock(ctx context.Context, name string) error {
	var locked sql.NullInt64
	query := fmt.Sprintf("select get_lock('%s', %g)", name, x.config.LockTimeout.Seconds())
	switch err := x.QueryRowContext(ctx, query).Scan(&locked); {
	case err != nil:
		return fmt.Errorf("mysql: the lock of the user: %w", err)
	case locked.Int64 != 1:
		return fmt.Errorf("mysql: another change of the user goes on for more than %v", x.config.LockTimeout)
	}
	return nil
}

// unlock gives up the session where the server does not answer, and with it the
// lock.
func (x *session) unlock(ctx context.Context, name string) {
	ctx = context.WithoutCancel(ctx)
	if _, err := x.ExecContext(ctx, "do release_lock('"+name+"')"); err != nil {
		_ = x.Raw(func(any) error { return driver.ErrBadConn })
	}
}
