package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/rotation"
	"github.com/rekey-go/rekey/internal/storm/table"
	"github.com/rekey-go/rekey/pool"
)

func newTable(out io.Writer, server *pgserver.Server, credential *rotation.Rotation, db *pool.ManagedPool, clients *load.Load) *table.Table {
	login := func(ctx context.Context) error {
		conn, err := server.Admin(ctx)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	user := func() any {
		name := db.Health().Username
		return name[strings.LastIndexByte(name, '_')+1:]
	}
	return table.New(out, db.Health, clients, login,
		table.Column{Name: "rotation", Value: func() any { return credential.Done() }},
		table.Column{Name: "user", Value: user})
}

func sumUp(out io.Writer, s table.Summary, asJSON bool, failures error) {
	s.Print(out, fmt.Sprintf("%d rotations of password and user", s.Rotations))
	fmt.Fprintf(out, "%d logins were rejected because the password had changed a moment before, and repeated with the new one\n", s.LoginsRejected)
	if failures != nil {
		fmt.Fprintln(out, "failures:", failures)
	}
	if asJSON {
		table.PrintJSON(out, s)
	}
}
