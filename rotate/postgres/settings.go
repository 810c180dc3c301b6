package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copySettings gives a role the settings that another one has, except for the
// role that it acts as. The value of a setting is text that only the server
// understands (a search_path is a list of quoted names), so it is set for a
// moment and taken over from there.
func copySettings(ctx context.Context, tx pgx.Tx, from, to string) error {
	rows, err := tx.Query(ctx, `select coalesce(d.datname, ''), s.setting from pg_catalog.pg_db_role_setting c
		join pg_catalog.pg_roles r on r.oid = c.setrole left join pg_catalog.pg_database d on d.oid = c.setdatabase,
		pg_catalog.unnest(c.setconfig) as s (setting) where r.rolname = $1`, from)
	if err != nil {
		return fmt.Errorf("postgres: the settings of role %q: %w", from, err)
	}
	type setting struct{ Database, Text string }
	settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[setting])
	if err != nil {
		return fmt.Errorf("postgres: the settings of role %q: %w", from, err)
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s.Text, "=")
		if name == "role" {
			continue
		}
		if err := copySetting(ctx, tx, to, s.Database, name, value); err != nil {
			if isCode(err, "42501") {
				err = fmt.Errorf("%w; GRANT SET ON PARAMETER to the rotator, or make it one of the database", err)
			}
			return fmt.Errorf("postgres: setting %s of role %q, as %q has it: %w", name, to, from, err)
		}
	}
	return nil
}

func copySetting(ctx context.Context, tx pgx.Tx, role, database, name, value string) error {
	where, err := Ident(role)
	if err != nil {
		return err
	}
	if database != "" {
		d, err := Ident(database)
		if err != nil {
			return err
		}
		where += " in database " + d
	}
	// Each part of a.b is an identifier of its own.
	parts := strings.Split(name, ".")
	for i := range parts {
		if parts[i], err = Ident(parts[i]); err != nil {
			return err
		}
	}
	var before *string
	if err := tx.QueryRow(ctx, "select pg_catalog.current_setting($1, true)", name).Scan(&before); err != nil {
		return err
	}
	const set = "select pg_catalog.set_config($1, $2, true)"
	if _, err := tx.Exec(ctx, set, name, value); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "alter role "+where+" set "+strings.Join(parts, ".")+" from current"); err != nil {
		return err
	}
	if before == nil {
		return nil // no such setting before: it ends with the transaction
	}
	_, err = tx.Exec(ctx, set, name, *before)
	return err
}
