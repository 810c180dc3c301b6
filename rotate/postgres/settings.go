package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// lists are the settings whose value is a list of quoted names, as the server
// keeps it.
var lists = []string{
	"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories",
}

// copySettings gives a role the settings that another one has, except for the
// role that it acts as. It comes last in a transaction.
func copySettings(ctx context.Context, conn *pgx.Conn, from, to string) error {
	rows, err := conn.Query(ctx, `select coalesce(d.datname, ''), s.setting from pg_catalog.pg_db_role_setting c
		join pg_catalog.pg_roles r on r.oid = c.setrole left join pg_catalog.pg_database d on d.oid = c.setdatabase,
		pg_catalog.unnest(c.setconfig) as s (setting) where r.rolname = $1`, oneTrip, from)
	if err != nil {
		return fmt.Errorf("postgres: the settings of role %q: %w", from, err)
	}
	type setting struct{ Database, Text string }
	settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[setting])
	if err != nil {
		return fmt.Errorf("postgres: the settings of role %q: %w", from, err)
	}
	var statements []string
	for _, s := range settings {
		name, value, _ := strings.Cut(s.Text, "=")
		if name == "role" {
			continue
		}
		statement, err := settingOf(to, s.Database, name, value)
		if err != nil {
			return err
		}
		statements = append(statements, statement)
	}
	if len(statements) == 0 {
		return nil
	}
	if err := run(ctx, conn, statements...); err != nil {
		if isCode(err, "42501") {
			err = fmt.Errorf("%w; GRANT SET ON PARAMETER to the rotator, or make it a setting of the database", err)
		}
		return fmt.Errorf("postgres: the settings of role %q, as %q has them: %w", to, from, err)
	}
	return nil
}

// settingOf is the statement for one setting. Lists are set for a moment and
// taken over from there: only the server reads what they look like.
func settingOf(role, database, name, value string) (string, error) {
	where, err := Ident(role)
	if err != nil {
		return "", err
	}
	if database != "" {
		d, err := Ident(database)
		if err != nil {
			return "", err
		}
		where += " in database " + d
	}
	text, err := Literal(value)
	if err != nil {
		return "", err
	}
	setting, err := Literal(name)
	if err != nil {
		return "", err
	}
	// Each part of a.b is an identifier of its own.
	parts := strings.Split(name, ".")
	for i := range parts {
		if parts[i], err = Ident(parts[i]); err != nil {
			return "", err
		}
	}
	alter := "alter role " + where + " set " + strings.Join(parts, ".")
	if slices.Contains(lists, strings.ToLower(name)) {
		return "select pg_catalog.set_config(" + setting + ", " + text + ", true); " + alter + " from current", nil
	}
	return alter + " to " + text, nil
}
