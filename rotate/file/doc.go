// Package file keeps the versions of a secret in a JSON file, as [file.JSON] of
// source/file reads it:
//
//	{"username": "app", "password": "…", "host": "db.internal", "port": 5432}
//
// It is for one machine, and for files that a tool carries to others:
//
//	r, err := rotate.New(&rotate.Config{Store: file.New("/srv/secrets/orders.json", nil), Target: target})
//
// Applications read this file and nothing else. A rotation writes it once, when
// it promotes: user name, password and the key "rekey_version", which holds the
// rotation's token; all other keys stay. The pending and the previous version
// lie in a second file beside it ([Options.Beside]), which only its owner can
// read: a password that is not verified or approved yet is none of the
// applications' business, and their file does not change before it has to.
//
// # What is written is whole
//
// A file is written anew under another name in the same directory, synced to the
// disk, and renamed; then the directory is synced. So readers see the old one or
// the new one, whatever happens: a disk that is full, a process that is killed,
// a power failure. Which version is current is decided by the secret's file
// alone; a second file that is behind it after a crash is read accordingly.
//
// The file keeps its permissions for owner and group, less the group's right to
// write; others lose theirs. It keeps owner and group where the process may set
// them. Access control lists and other attributes are not kept.
//
// # Several writers
//
// Those who rotate exclude each other by flock(2) on a third, empty file, on one
// machine. A file system that several machines share needs a
// [rotate.Config.Lock]. Before a file is replaced it is compared with what the
// decision was based on: what an operator has written meanwhile is not lost, but
// for the instant between the comparison and the renaming.
//
// # Permissions
//
// Reading and writing the secret's file and its directory, and that of
// [Options.Beside]. To keep the owner of a file that belongs to somebody else
// takes root or CAP_CHOWN. Systems without flock are not supported.
//
// [file.JSON]: https://pkg.go.dev/github.com/rekey-go/rekey/source/file#JSON
package file
