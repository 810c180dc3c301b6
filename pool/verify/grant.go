package verify

import (
	"fmt"
	"slices"
	"strings"
)

// A Grant is one or more privileges on one object, as [Privileges] checks them.
// Names are written as in SQL: orders, sales.orders, "Odd.Name"; letters that
// are not quoted are lower case, and names without a schema are found along
// search_path. Privileges are the words of SQL's GRANT, in any case, one a
// string.
type Grant struct {
	on         class
	name       string
	columns    []string
	privileges []string
}

type class string

const (
	table    class = "table"
	column   class = "column"
	sequence class = "sequence"
	function class = "function"
	schema   class = "schema"
	database class = "database"
)

// privilegesOf says what can be granted. A list in one string would mean any
// of them to the server.
var privilegesOf = map[class][]string{
	table:    {"select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"},
	column:   {"select", "insert", "update", "references"},
	sequence: {"usage", "select", "update"},
	function: {"execute"},
	schema:   {"usage", "create"},
	database: {"connect", "create", "temporary"},
}

// On is about a table, a view or a foreign table: select, insert, update,
// delete, truncate, references, trigger, from PostgreSQL 17 on maintain. A
// privilege on each of its columns is as good as one on the table. The right to
// use its schema is part of it.
func On(name string, privileges ...string) Grant {
	return Grant{on: table, name: name, privileges: privileges}
}

// OnColumns is about columns of a table: select, insert, update, references.
func OnColumns(name string, columns []string, privileges ...string) Grant {
	return Grant{on: column, name: name, columns: columns, privileges: privileges}
}

// OnSequence is about a sequence: usage, select, update. What a serial column
// draws from needs usage; an identity column needs no right of its own.
func OnSequence(name string, privileges ...string) Grant {
	return Grant{on: sequence, name: name, privileges: privileges}
}

// OnFunction is about the right to execute a function or procedure, which is
// named with the types of its arguments, as in area(integer, text), or by its
// name alone where there is only one. The right to use its schema is part of it.
func OnFunction(name string) Grant {
	return Grant{on: function, name: name, privileges: []string{"execute"}}
}

// OnSchema is about a schema: usage, create.
func OnSchema(name string, privileges ...string) Grant {
	return Grant{on: schema, name: name, privileges: privileges}
}

// OnDatabase is about a database: connect, create, temporary. An empty name is
// the database of the session.
func OnDatabase(name string, privileges ...string) Grant {
	return Grant{on: database, name: name, privileges: privileges}
}

// words returns the privileges as the server wants them. A mistake here is one
// of the program, for every role alike.
func (g Grant) words() ([]string, error) {
	known := privilegesOf[g.on]
	if len(g.privileges) == 0 || g.on == column && len(g.columns) == 0 {
		return nil, fmt.Errorf("verify: nothing to check is said about %s %q", g.on, g.name)
	}
	words := make([]string, len(g.privileges))
	for i, p := range g.privileges {
		words[i] = strings.ToLower(strings.TrimSpace(p))
		if words[i] == "temp" {
			words[i] = "temporary"
		}
		if !slices.Contains(known, words[i]) {
			return nil, fmt.Errorf("verify: %q is not a privilege on a %s, which are %s", p, g.on, strings.Join(known, ", "))
		}
	}
	return words, nil
}
