package mysql

// An OptionError says that an option cannot be. Correct it.
type OptionError struct {
	Option  string // such as "Rounds"
	Problem string // what is wrong and what is expected, in words
}

func (e *OptionError) Error() string { return "mysql: " + e.Option + " " + e.Problem }

// A PasswordError says that no login with a password would succeed. The password
// is not in it. Generate another one.
type PasswordError struct {
	Problem string // which rule it breaks, in words
}

func (e *PasswordError) Error() string { return "mysql: the password " + e.Problem }

// A HashError says that a text is not a hash of a kind that is known here. The
// text is not in it.
type HashError struct {
	Problem string // what is wrong and what is expected, in words
}

func (e *HashError) Error() string { return "mysql: not a password's hash: it " + e.Problem }

// A QuoteError says that the servers have no way to write a text, or would make
// another one of it. The text is not in it.
type QuoteError struct {
	What    string // "identifier", "user name", "host name" or "string"
	Problem string // what is wrong, in words
}

func (e *QuoteError) Error() string { return "mysql: the " + e.What + " " + e.Problem }

// A VersionError says that a server is too old for the targets of this package:
// they need MySQL 8.0.21 or MariaDB 10.4.
type VersionError struct {
	Version string // as the server says it
}

func (e *VersionError) Error() string {
	return "mysql: the server is version " + e.Version + "; the targets need MySQL 8.0.21 or MariaDB 10.4 at least"
}

// A PrivilegeError says that the rotator's own user lacks a privilege. Grant it.
type PrivilegeError struct {
	Privilege string // as GRANT takes it
	For       string // what it was needed for, in words
	Err       error  // the server's
}

func (e *PrivilegeError) Error() string {
	return "mysql: " + e.For + ": the rotator's own user may not; GRANT " + e.Privilege + " to it: " + e.Err.Error()
}

func (e *PrivilegeError) Unwrap() error { return e.Err }

// An AccountError says that an account is not as a rotation needs it.
type AccountError struct {
	User    string // of the account
	Problem string // and what to do, in words
	Err     error  // the server's
}

func (e *AccountError) Error() string {
	return "mysql: user " + e.User + " " + e.Problem + ": " + e.Err.Error()
}

func (e *AccountError) Unwrap() error { return e.Err }
