// Package mygrants knows how to ask MySQL and MariaDB what users may do, and how
// to compare what they answer.
package mygrants

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// Grants are the rights of one user.
type Grants struct {
	Active string // the active roles, as current_role() tells

	rights  []right
	revoked []right // MySQL takes out of wider rights with partial_revokes
	roles   []string
}

// noSuchFunction is what servers before roles say to current_role().
const noSuchFunction = 1305

// Of asks for the rights of the user whose session conn is, with the roles that
// are active after a login.
func Of(ctx context.Context, conn *sql.Conn) (g Grants, err error) {
	var active sql.NullString
	if err := conn.QueryRowContext(ctx, "select current_role()").Scan(&active); err != nil {
		var e *mysql.MySQLError
		if !errors.As(err, &e) || e.Number != noSuchFunction {
			return g, err
		}
	}
	g.Active = active.String
	rows, err := conn.QueryContext(ctx, "show grants")
	if err != nil {
		return g, err
	}
	defer func() { _ = rows.Close() }() // Err has told all
	var line string
	for rows.Next() {
		if err := rows.Scan(&line); err != nil {
			return g, err
		}
		g.Add(line)
	}
	return g, rows.Err()
}

// Lost returns what from may do and to may not, for people, in order. Rights that
// to has by a wider grant, such as one on the whole database, are not lost.
func Lost(from, to Grants) []string {
	lost := []string{}
	for _, r := range to.without(from) {
		lost = append(lost, r.String())
	}
	slices.Sort(lost)
	return slices.Compact(lost)
}

// A right is one privilege on one object, for people.
type right struct {
	privilege string // SELECT, ALL PRIVILEGES, GRANT OPTION, …
	column    string // empty: the whole object
	object    string // *.*, `db`.*, `db`.`table`, PROCEDURE `db`.`name`
}

func (r right) String() string {
	switch {
	case r.object == "":
		return "role " + r.privilege
	case r.column != "":
		return r.privilege + " (" + r.column + ") on " + r.object
	}
	return r.privilege + " on " + r.object
}

// Add takes one line of SHOW GRANTS. Who holds the right is left out, and with
// it the hash of a password.
func (g *Grants) Add(line string) {
	words := split(line)
	if len(words) == 0 {
		return
	}
	verb, rest := words[0], words[1:]
	if verb != "GRANT" && verb != "REVOKE" {
		return // SET DEFAULT ROLE
	}
	on, holder := -1, len(rest)
	for i, w := range rest {
		if w == "ON" && on < 0 {
			on = i
		}
		if w == "TO" || w == "FROM" {
			holder = i
			break
		}
	}
	if on < 0 {
		g.roles = append(g.roles, rest[:holder]...)
		return
	}
	list, object := rest[:on], rest[on+1:holder]
	rights := privileges(list, strings.Join(object, " "))
	if verb == "REVOKE" {
		g.revoked = append(g.revoked, rights...)
		return
	}
	g.rights = append(g.rights, rights...)
	for _, w := range rest[holder:] {
		if w == "OPTION" { // WITH GRANT OPTION
			g.rights = append(g.rights, right{privilege: "GRANT OPTION", object: strings.Join(object, " ")})
		}
	}
}

// privileges reads what stands between GRANT and ON.
func privileges(list []string, object string) (all []right) {
	var words []string
	columns := ""
	end := func() {
		privilege := strings.Join(words, " ")
		switch {
		case privilege == "" || privilege == "USAGE":
		case columns == "":
			all = append(all, right{privilege: privilege, object: object})
		default:
			for _, c := range split(columns[1 : len(columns)-1]) {
				if c != "," {
					all = append(all, right{privilege: privilege, column: c, object: object})
				}
			}
		}
		words, columns = nil, ""
	}
	for _, w := range list {
		switch {
		case w == ",":
			end()
		case strings.HasPrefix(w, "("):
			columns = w
		default:
			words = append(words, w)
		}
	}
	end()
	return all
}

// without returns what other has and g has not.
func (g Grants) without(other Grants) (lost []right) {
	for _, r := range other.rights {
		if !g.covers(r) {
			lost = append(lost, r)
		}
	}
	for _, r := range g.revoked { // what is taken out of the wider rights of g
		if other.covers(r) && !contains(other.revoked, r) {
			lost = append(lost, r)
		}
	}
	for _, role := range other.roles { // those that a statement may switch to
		if role != "," && !other.isActive(role) && !contains(g.roles, role) {
			lost = append(lost, right{privilege: role})
		}
	}
	return lost
}

func contains[T comparable](all []T, one T) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

// isActive reports whether the rights of a role have been listed as one's own.
// MySQL writes the active roles as SHOW GRANTS does, MariaDB without quotes.
func (g Grants) isActive(role string) bool {
	return contains(strings.Split(g.Active, ","), role) || quote(g.Active) == role
}

func (g Grants) covers(r right) bool {
	for _, h := range g.rights {
		all := h.privilege == "ALL PRIVILEGES" && r.privilege != "GRANT OPTION" && r.privilege != "PROXY"
		if (all || h.privilege == r.privilege) && (h.column == "" || h.column == r.column) && encloses(h.object, r.object) {
			return true
		}
	}
	return false
}

// encloses reports whether a right on the object wide is one on narrow, too.
func encloses(wide, narrow string) bool {
	if wide == narrow {
		return true
	}
	if strings.Contains(narrow, "@") && !strings.Contains(narrow, ".") { // an account, for PROXY
		return false
	}
	if wide == "*.*" {
		return true
	}
	pattern, whole := strings.CutSuffix(wide, ".*")
	if !whole {
		return false
	}
	words := split(narrow)
	name := words[len(words)-1] // after PROCEDURE or the like
	database, isDatabase := strings.CutSuffix(name, ".*")
	if !isDatabase {
		database = name[:quoted(name)]
	} else if database = unquote(database); strings.ContainsAny(strings.NewReplacer(`\_`, "", `\%`, "").Replace(database), "_%") {
		return false // a pattern itself
	} else {
		database = strings.NewReplacer(`\_`, "_", `\%`, "%").Replace(database)
	}
	return like(unquote(pattern), unquote(database))
}
