// Package mysql has what a rotation of MySQL or MariaDB passwords needs beside
// SQL: [CachingSHA2Hash] and [NativeHash] turn a password into what the server
// stores, so that the password itself never travels in a statement, where logs
// would keep it; [Account], [Ident] and [Literal] write what statements such as
// ALTER USER, which take no parameters, have to contain.
//
// Everything here is safe for concurrent use.
package mysql
