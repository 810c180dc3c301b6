// Package judges has pgx's own tests judge the managed pools: at test time the
// test files of pgxpool and stdlib are taken from the module cache and compiled
// against packages that look like pgxpool, stdlib and database/sql but open
// managed pools (see managed/). Nothing of pgx's code is kept here. They run on
// a real PostgreSQL, first as they are and then on the managed pools. What does
// not hold for those is listed in exceptions_test.go, with the reason.
package judges
