// Package file takes credentials from files that somebody else keeps up to
// date: a Kubernetes Secret volume, the CSI secrets store, Vault Agent, a
// deployment tool.
//
// It is the simplest way to follow a store: whatever brings the secret to the machine
// stays as it is, and the service needs no access to the store.
//
//	src := file.JSON("/run/secrets/db.json", nil) // {"username": "app", "password": "…"}
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//
// [JSON], [Dotenv], [Dir] and [Pgpass] read what others write, [Custom] the rest.
//
// A [Source] reads its file anew at every call and watches it by file system
// events and by polling, both shared by all sources of the process. Events
// are for speed; the poll is for file systems and mounts that send none.
package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/rekey-go/rekey/source"
)

// Options adjust a [Source]. The zero value, or nil, means the defaults.
type Options struct {
	// UsernameField and PasswordField name the key, variable or file that
	// holds the user name and the password. Empty means "username", or "user"
	// if there is none, and "password"; for [Dotenv] PGUSER and PGPASSWORD.
	// [Pgpass] and [Custom] have no use for them.
	UsernameField, PasswordField string

	// AllowNoUsername accepts a file without a user name, for pools whose own
	// configuration names the user.
	AllowNoUsername bool

	// Poll is how often a watched file is looked at although no event came.
	// Zero means five seconds; negative means never, which trusts the system
	// to report every change.
	Poll time.Duration

	// MaxSize is the most that is read, in bytes, for [Dir] in all files
	// together. Zero or less means 1 MiB. More is [ErrTooLarge].
	MaxSize int64

	// MaxAge is how long the file may stay unchanged before
	// [Source.Warning] says so: a little more than the longest time between
	// two rotations. It finds files that are never updated, such as subPath
	// mounts in Kubernetes. Zero or less means no limit.
	MaxAge time.Duration

	// OnSIGHUP makes the signal SIGHUP count as a change of the file. The
	// signal is caught only while the source is watched; before and after, it
	// ends a process that does not catch it itself, by signal.Notify or
	// signal.Ignore at the start of main.
	OnSIGHUP bool

	// Logger receives warnings, without any secret. Nil: [slog.Default].
	Logger *slog.Logger
}

// A Source is a [source.Watcher] whose store is a file or a directory. It
// keeps nothing that it has read: while the file is broken it answers with
// errors, and the refresher keeps serving the last good credential. All
// methods are safe for concurrent use.
//
// Files are taken to be local: a read looks at its context between two files,
// not within one.
type Source struct {
	path string // absolute
	opts Options
	err  error // what is wrong with the arguments, told at every call
	read func(ctx context.Context) (source.Credential, error)
	dir  bool // the path is a directory with a file for each field

	mu     sync.Mutex
	seen   *state // what was read last with success; nil: nothing yet
	warned time.Time
}

// A Parser makes a credential of a file's whole content. It sets Username,
// Password and what else it finds; a zero Issued is filled in with the start
// of the read. It must not put content into its errors and not keep data.
type Parser func(data []byte) (source.Credential, error)

// JSON returns a source that reads a JSON object:
//
//	{"username": "app", "password": "…", "host": "db.internal", "port": 5432}
//
// User name and password must be strings. Other keys become fields of the
// credential: strings as they are, numbers and booleans as their text.
// Anything else is refused, and so are duplicate keys and text behind the
// object. A byte order mark is skipped.
//
// Mistakes in the arguments of this and the other constructors are reported by
// [Source.Credential].
func JSON(path string, opts *Options) *Source {
	return single(path, opts, func(s *Source) Parser { return s.parseJSON })
}

// Dotenv returns a source that reads assignments as shells write them:
//
//	# written by deploy
//	export PGUSER=app
//	PGPASSWORD='it is # literal'
//	PGHOST="db\tinternal"
//
// Single quotes keep everything as it is; double quotes know \n, \r, \t, \",
// \\, \$ and \` and keep other backslashes; both may span lines. Without
// quotes a value ends with its line or at a # behind a blank. Nothing is
// expanded. Variables other than the user name and the password become fields
// of the credential; of duplicates the last one counts.
func Dotenv(path string, opts *Options) *Source {
	s := single(path, opts, func(s *Source) Parser { return s.parseDotenv })
	s.opts.UsernameField = cmp.Or(s.opts.UsernameField, "PGUSER")
	s.opts.PasswordField = cmp.Or(s.opts.PasswordField, "PGPASSWORD")
	return s
}

// Dir returns a source that reads a directory with one file for each field, as
// Kubernetes mounts a Secret. One line break at the end of a file is dropped.
// Names that begin with ".." are skipped.
//
// Where the directory has a ..data link it is resolved once for each read, so
// all fields are of one generation. Without it, the directory is read until
// two reads in a row agree; who writes there should still replace the whole
// directory at once, since files that change minutes apart cannot be told from
// files that belong together.
func Dir(path string, opts *Options) *Source {
	s := open(path, opts)
	s.dir = true
	s.read = s.readDir
	return s
}

// Pgpass returns a source that reads a PostgreSQL password file, whose lines
// are hostname:port:database:username:password, and takes the first line that
// fits match. What the line says about host, port and database, unless it is
// the wildcard, becomes fields of the credential. No fitting line is
// [ErrNoMatch]. Unlike libpq, it does not look at the file's permissions.
func Pgpass(path string, match Match, opts *Options) *Source {
	return single(path, opts, func(s *Source) Parser {
		return func(data []byte) (source.Credential, error) { return s.parsePgpass(data, match) }
	})
}

// Custom returns a source that has parse read the file. What parse returns is
// held against the same rules as the other formats: there must be a password
// and, unless the options say otherwise, a user name.
func Custom(path string, parse Parser, opts *Options) *Source {
	s := single(path, opts, func(s *Source) Parser { return s.checked(parse) })
	if parse == nil {
		s.err = source.Permanent(errors.New("file: Custom needs a parser"))
	}
	return s
}

// single returns a source of one file; parser makes its parser.
func single(path string, opts *Options, parser func(*Source) Parser) *Source {
	s := open(path, opts)
	parse := parser(s)
	s.read = func(context.Context) (source.Credential, error) {
		data, err := readFile(s.path, s.opts.MaxSize)
		if err != nil {
			return source.Credential{}, err
		}
		if blank(data) {
			return source.Credential{}, fmt.Errorf("%s: %w", s.path, ErrEmpty)
		}
		return parse(data)
	}
	return s
}

func open(path string, opts *Options) *Source {
	s := &Source{}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.Poll = cmp.Or(s.opts.Poll, 5*time.Second)
	if s.opts.MaxSize <= 0 {
		s.opts.MaxSize = 1 << 20
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.Default()
	}
	abs, err := filepath.Abs(path)
	switch {
	case path == "":
		s.err = source.Permanent(errors.New("file: the path is empty"))
	case err != nil:
		s.err = fmt.Errorf("file: the path is relative to an unknown directory: %w", err)
	}
	s.path = abs
	return s
}

// Credential reads the file. Issued is the start of the read; Version is that of
// the rotation that wrote the file (package rotate/file), or else left
// to the refresher. A field that is missing or unusable is a
// [*source.FieldError], content that does not parse a [*SyntaxError]; neither
// they nor any other error contain what was read.
func (s *Source) Credential(ctx context.Context) (source.Credential, error) {
	if err := cmp.Or(ctx.Err(), s.err); err != nil {
		return source.Credential{}, err
	}
	began := time.Now()
	// Looked at before the read: what changes meanwhile differs from it later.
	seen := s.look()
	c, err := s.read(ctx)
	if err != nil {
		return source.Credential{}, err
	}
	if c.Issued.IsZero() {
		c.Issued = began
	}
	s.mu.Lock()
	s.seen = seen
	s.mu.Unlock()
	s.warn()
	return c, nil
}

// Watch has changed called when the file, or any link on the way to it, may
// have changed. It also notices a file or directory that does not exist yet.
// What has changed since the last [Source.Credential] counts too. stop must
// not be called from within changed.
func (s *Source) Watch(changed func()) (stop func()) {
	if s.err != nil {
		return func() {}
	}
	return shared.watch(s, changed)
}

// Age returns how long the file had been unchanged, by its modification time,
// when seen from now. Zero means that it has not been read yet.
func (s *Source) Age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || s.seen.modified.IsZero() {
		return 0
	}
	return max(0, time.Since(s.seen.modified))
}

// Warning says what a status page should show: that the file has not changed
// for longer than Options.MaxAge. It is empty while all is well.
func (s *Source) Warning() string {
	age := s.Age()
	if s.opts.MaxAge <= 0 || age <= s.opts.MaxAge {
		return ""
	}
	return fmt.Sprintf("%s has not changed for %v, longer than %v: is it still updated? (Kubernetes never updates subPath mounts)",
		s.path, age.Round(time.Second), s.opts.MaxAge)
}

// warn logs the warning once for each state of the file.
func (s *Source) warn() {
	warning := s.Warning()
	if warning == "" {
		return
	}
	s.mu.Lock()
	again := s.warned.Equal(s.seen.modified)
	s.warned = s.seen.modified
	s.mu.Unlock()
	if !again {
		s.opts.Logger.Warn("credential file is old", "path", s.path, "warning", warning)
	}
}

// String names the file.
func (s *Source) String() string { return "file " + s.path }

// Format prints what [Source.String] says for every verb.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
