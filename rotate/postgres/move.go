package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Move is what it takes that a group has what a user owns or was granted
// itself, and the user has it as a member of the group: the way from direct
// grants to [ParallelRole].
type Move struct {
	User, Group string // from whom to whom

	// Steps are done in this order. None: there is nothing to move.
	Steps []MoveStep
}

// A MoveStep is one transaction.
type MoveStep struct {
	Database   string   // where it is done
	Statements []string // in this order
}

// String is SQL, to read or to run by hand, for instance with psql.
func (m *Move) String() string {
	var b strings.Builder
	for _, step := range m.Steps {
		fmt.Fprintf(&b, "-- database %s\nBEGIN;\n", step.Database)
		for _, s := range step.Statements {
			b.WriteString(s + ";\n")
		}
		b.WriteString("COMMIT;\n")
	}
	return b.String()
}

// PlanMove lists what user owns and was granted itself, in every database of the
// cluster, as the statements that hand it over to group, which must exist. It
// changes nothing. Admin of c has to be able to connect to each of these
// databases.
//
// What both have by then are privileges on objects of all kinds, ownership,
// default privileges, policies and the memberships of user. User mappings of
// foreign servers hold passwords that cannot be read: make those of group before.
func PlanMove(ctx context.Context, c *Config, user, group string) (*Move, error) {
	config, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s, m, h := server{config}, &Move{User: user, Group: group}, holdings{user: user, group: group}
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		if err := h.movable(ctx, conn); err != nil {
			return err
		}
		databases, err := dependent(ctx, conn, user)
		if err != nil {
			return err
		}
		if len(databases) == 0 || databases[0] != conn.Config().Database {
			databases = append([]string{conn.Config().Database}, databases...)
		}
		for i, database := range databases {
			h.local = i > 0
			parts := []part{h.unmapped, h.grants, h.owned, h.sharedDefaults, h.sharedPolicies, h.revokes, h.defaults}
			if i == 0 { // first of all the user needs what the group gets
				parts = append([]part{h.memberships}, parts...)
			}
			if err := s.in(ctx, conn, database, func(conn *pgx.Conn) error { return m.add(ctx, conn, h, database, parts...) }); err != nil {
				return err
			}
		}
		return m.add(ctx, conn, h, databases[0], h.acting)
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: what user %q has cannot be moved to group %q: %w", user, group, err)
	}
	return m, nil
}

// add appends what the parts find in the database of conn.
func (m *Move) add(ctx context.Context, conn *pgx.Conn, h holdings, database string, parts ...part) error {
	mode := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, conn, mode, func(pgx.Tx) error {
		statements, err := h.collect(ctx, conn, parts...)
		if err != nil {
			return fmt.Errorf("database %q: %w", database, err)
		}
		if len(statements) > 0 {
			m.Steps = append(m.Steps, MoveStep{database, statements})
		}
		return nil
	})
}

// Apply runs the steps, each as one transaction. Open sessions of the user keep
// every right all the time. Where it fails, the steps before are done and the
// others are not: correct what the error says, plan again and apply that.
// Sessions that were opened before act as the user until they end, and what they
// create meanwhile is the user's: plan again when they have ended.
//
// Admin of c has to be a member, with ADMIN OPTION, of user, of group and of the
// roles that user is in, and a member of the owners of what user was granted; a
// superuser is all that.
func (m *Move) Apply(ctx context.Context, c *Config) error {
	config, err := c.withDefaults()
	if err != nil {
		return err
	}
	s := server{config}
	return s.admin(ctx, func(conn *pgx.Conn) error {
		for _, step := range m.Steps {
			err := s.in(ctx, conn, step.Database, func(conn *pgx.Conn) error {
				return s.transact(ctx, conn, func(conn *pgx.Conn) error {
					for _, statement := range step.Statements {
						if err := run(ctx, conn, statement); err != nil {
							return fmt.Errorf("%s: %w", statement, err)
						}
					}
					return nil
				}, m.Group)
			})
			if err != nil {
				return fmt.Errorf("postgres: the move of user %q to group %q, in database %q: %w", m.User, m.Group, step.Database, err)
			}
		}
		return nil
	})
}

// movable refuses what would lose the user a right on the way.
func (h holdings) movable(ctx context.Context, conn *pgx.Conn) error {
	for _, name := range []string{h.user, h.group} {
		if _, err := remarkOf(ctx, conn, name); err != nil {
			return err
		}
	}
	var bad bool
	err := conn.QueryRow(ctx, `select not rolinherit from pg_catalog.pg_roles where rolname = $1`, oneTrip, h.user).Scan(&bad)
	switch {
	case err != nil:
		return err
	case bad:
		return fmt.Errorf("user %q does not inherit the rights of groups: ALTER ROLE … INHERIT first", h.user)
	}
	return nil
}

// unmapped refuses a user who has mappings that the group lacks.
func (h holdings) unmapped(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	missing, err := h.list(ctx, conn, roles+` select format('CREATE USER MAPPING FOR %I SERVER %I', $2, srvname) from pg_user_mappings m, u, g
		where umuser = u.oid and not exists (select from pg_user_mappings o where o.srvid = m.srvid and o.umuser in (0, g.oid)) order by 1`)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("mappings hold passwords and have to be made by hand before: %s", strings.Join(missing, "; "))
	}
	return nil, err
}

// memberships make the user a member of the group, and the group one of what the
// user is in.
func (h holdings) memberships(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, roles+`, theirs as (select m.roleid from pg_auth_members m, u where m.member = u.oid)
		select format('GRANT %I TO %I', $2, $1) from g where oid not in (select roleid from theirs)
		union all (select format('GRANT %I TO %I', rolname, $2) from pg_roles r, g
			where r.oid in (select roleid from theirs) and r.oid <> g.oid and not pg_has_role(g.oid, r.oid, 'member') order by 1)`)
}

// acting has the sessions of the user that begin from now on act as the group.
func (h holdings) acting(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, roles+` select format('ALTER ROLE %I SET role TO %I', $1, $2) from u
		where not exists (select from pg_db_role_setting where setrole = u.oid and setdatabase = 0 and 'role=' || $2 = any(setconfig))`)
}
