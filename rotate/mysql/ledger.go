package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// read returns the mark of a user. MySQL keeps it in the attribute of the
// account, which one statement changes together with the password.
func (x *session) read(ctx context.Context, user string) (mark, error) {
	var text sql.NullString
	query, err := x.marks(user)
	if err != nil {
		return mark{}, err
	}
	err = x.QueryRowContext(ctx, query).Scan(&text)
	switch {
	case errors.Is(err, sql.ErrNoRows), isNumber(err, noSuchTable):
		return mark{}, nil
	case err != nil:
		return mark{}, x.statementError("the mark of user "+user, x.marksRight(), err)
	}
	return parseMark([]byte(text.String)), nil
}

// marks is the query for the mark of a user.
func (x *session) marks(user string) (string, error) {
	account, err := Account(user, x.config.Host)
	if err != nil {
		return "", err
	}
	if x.mariaDB {
		key, err := Literal(account, x.mode)
		return "select mark from " + x.table() + " where account = " + key, err
	}
	name, err := Literal(user, x.mode)
	if err != nil {
		return "", err
	}
	host, err := Literal(x.config.Host, x.mode)
	return "select json_extract(attribute, '$.rekey') from information_schema.user_attributes where user = " + name + " and host = " + host, err
}

func (x *session) table() string { return backticks(x.config.Database) + ".rotation" }

// marksRight is the privilege that marks need.
func (x *session) marksRight() string {
	if x.mariaDB {
		return "CREATE, SELECT, INSERT, UPDATE ON " + backticks(x.config.Database) + ".*"
	}
	return createUser
}

const createUser = "CREATE USER ON *.*"

// put changes a user by a clause of ALTER USER, which may hold a hash, and its
// mark. MariaDB has two statements for that: the mark comes first where it claims
// the user for a rotation, and last where it says what has been done.
func (x *session) put(ctx context.Context, user, clause string, before, after mark, claim bool) error {
	if after.same(before) { // it says so already, and since when
		return x.alter(ctx, user, clause)
	}
	if after.At.IsZero() || after.Token != before.Token { // it is another password from now on
		var err error
		if after, err = x.stamp(ctx, after); err != nil {
			return err
		}
	}
	if x.mariaDB {
		steps := []func() error{
			func() error { return x.write(ctx, user, after) },
			func() error { return x.alter(ctx, user, clause) },
		}
		if !claim {
			steps[0], steps[1] = steps[1], steps[0]
		}
		if err := steps[0](); err != nil {
			return err
		}
		return steps[1]()
	}
	attribute, err := Literal(`{"rekey": `+after.text()+`}`, x.mode)
	if err != nil {
		return err
	}
	return x.alter(ctx, user, clause+" attribute "+attribute)
}

// alter changes a user.
func (x *session) alter(ctx context.Context, user, clause string) error {
	if clause == "" {
		return nil
	}
	account, err := Account(user, x.config.Host)
	if err != nil {
		return err
	}
	if _, err := x.ExecContext(ctx, "alter user "+account+clause); err != nil {
		if isNumber(err, noSuchUser) {
			return &AccountError{user, fmt.Sprintf("does not exist with host %q; name the right user, or Config.Host", x.config.Host), serverError(err)}
		}
		return x.statementError("user "+user, createUser, err)
	}
	return nil
}

// write writes a mark into MariaDB's table, and makes the table first where it is
// missing.
func (x *session) write(ctx context.Context, user string, m mark) error {
	account, err := Account(user, x.config.Host)
	if err != nil {
		return err
	}
	key, err := Literal(account, x.mode)
	if err != nil {
		return err
	}
	text, err := Literal(m.text(), x.mode)
	if err != nil {
		return err
	}
	insert := "insert into " + x.table() + " (account, mark) values (" + key + ", " + text + ") on duplicate key update mark = values(mark)"
	_, err = x.ExecContext(ctx, insert)
	if isNumber(err, noSuchTable) {
		_, err = x.ExecContext(ctx, "create table if not exists "+x.table()+
			" (account varchar(400) character set utf8mb4 collate utf8mb4_bin primary key, mark text character set utf8mb4 not null) engine = InnoDB")
		if err == nil {
			_, err = x.ExecContext(ctx, insert)
		}
	}
	switch {
	case isNumber(err, noSuchDatabase):
		return fmt.Errorf("mysql: the targets keep their marks in database %q; CREATE DATABASE it: %w", x.config.Database, serverError(err))
	case err != nil:
		return x.statementError("the mark of user "+user, x.marksRight(), err)
	}
	return nil
}

// timeForm is how the servers write times.
const timeForm = "2006-01-02 15:04:05.999999"

// stamp puts into a mark when and where it is written.
func (x *session) stamp(ctx context.Context, m mark) (mark, error) {
	status := "performance_schema"
	if x.mariaDB {
		status = "information_schema"
	}
	// The time of the statement and the uptime at it differ by the same second for
	// as long as the server lives, whatever becomes of its clock.
	start := "(select unix_timestamp() - variable_value from " + status + ".global_status where variable_name = 'uptime')"
	var at string
	err := x.QueryRowContext(ctx, "select cast(utc_timestamp(6) as char), concat(@@hostname, ':', @@port), coalesce(max(id), 0), cast("+start+" as signed) from information_schema.processlist").
		Scan(&at, &m.Server, &m.Last, &m.Start)
	if err != nil {
		return m, x.statementError("the sessions of the server", process, err)
	}
	m.At, err = time.Parse(timeForm, at)
	return m, err
}
