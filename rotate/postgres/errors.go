package postgres

// An OptionError says that an option cannot be. Correct it.
type OptionError struct {
	Option  string // such as "Iterations"
	Problem string // what is wrong and what is expected, in words
}

func (e *OptionError) Error() string { return "postgres: " + e.Option + " " + e.Problem }

// A PasswordError says that no verifier can be computed for a password. The
// password is not in it. Generate another one.
type PasswordError struct {
	Problem string // which rule it breaks, in words
}

func (e *PasswordError) Error() string { return "postgres: the password " + e.Problem }

// A VerifierError says that PostgreSQL would not take a text for a SCRAM-SHA-256
// verifier. The text is not in it. Compute it again with [Verifier].
type VerifierError struct {
	Part    string // "form", "iterations", "salt", "StoredKey" or "ServerKey"
	Problem string // what is wrong and what is expected, in words
}

func (e *VerifierError) Error() string {
	return "postgres: not a verifier: its " + e.Part + " " + e.Problem
}

// A QuoteError says that SQL has no way to write a text. The text is not in it.
type QuoteError struct {
	What    string // "identifier" or "string"
	Problem string // what is wrong, in words
}

func (e *QuoteError) Error() string { return "postgres: the " + e.What + " " + e.Problem }
