// Package postgres has what a rotation of PostgreSQL passwords needs beside SQL:
// [Verifier] turns a password into what the server stores, so that the password
// itself never travels in a statement, where logs and statistics would keep it;
// [Ident] and [Literal] write what statements such as ALTER ROLE, which take no
// parameters, have to contain.
//
// Everything here is safe for concurrent use.
package postgres
