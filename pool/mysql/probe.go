package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/rekey-go/rekey/internal/mygrants"
	"github.com/rekey-go/rekey/internal/wrapconn"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

var (
	_ pool.Dialer         = (*Dialer)(nil)
	_ pool.Prober         = (*Dialer)(nil)
	_ pool.RightsComparer = (*Dialer)(nil)
)

// Probe implements [pool.Prober]: a session whose user has been dropped cannot
// show its grants. MariaDB lets it read and write on all the same.
func (d *Dialer) Probe(ctx context.Context, conn driver.Conn) error {
	// What MariaDB shows holds the hash of the password: nobody looks at it.
	err := wrapconn.Ask(ctx, conn, "show grants", func(string) {})
	if n := number(err); n == noSuchGrant || n == wrongPassword {
		return fmt.Errorf("%w: %w", pool.ErrDisowned, err)
	}
	return err
}

// LostRights implements [pool.RightsComparer] by what SHOW GRANTS tells to both
// users, with the roles that are active after a login. Rights that to has by a
// wider grant, such as one on the whole database, are not lost.
func (d *Dialer) LostRights(ctx context.Context, from, to refresh.Snapshot) ([]string, error) {
	had, err := d.grants(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("rights of %q: %w", from.Username, err)
	}
	has, err := d.grants(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("rights of %q: %w", to.Username, err)
	}
	return mygrants.Lost(had, has), nil
}

// grants asks the server what a user may do.
func (d *Dialer) grants(ctx context.Context, s refresh.Snapshot) (g mygrants.Grants, err error) {
	login, used := d.single(ctx, s, func(ctx context.Context, conn *sql.Conn) (err error) {
		g, err = mygrants.Of(ctx, conn)
		return err
	})
	if login != nil {
		return g, login
	}
	return g, used
}
