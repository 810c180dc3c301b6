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
