package dialertest

import "strings"

// Odd are texts, by what is odd about them, that get lost wherever somebody
// builds a connection string, an SQL statement or a log line of them. All are
// good as passwords.
func Odd() map[string]string {
	return map[string]string{
		"spaces":           "two  words and more",
		"blanks around":    " leading and trailing ",
		"quotes":           `it's "quoted" and \'escaped\'`,
		"URL":              "a@b:c/d?e=f&g=h#i%41%zz",
		"backslashes":      `\\server\share\n\0`,
		"injected keys":    "x host=evil port=1 sslmode=disable",
		"injected quotes":  "x' host='evil",
		"injected DSN":     "x@tcp(evil:1)/db?tls=false&allowCleartextPasswords=1",
		"dollars":          "$1 ${HOME} $$body$$",
		"backticks":        "`a``b` ? :name @var",
		"unicode":          "пароль 密码 ñandú ß ø",
		"emoji":            "🔑🐘 👩‍👩‍👧",
		"combining":        "é vs é",
		"long":             strings.Repeat("0123456789 äöü ", 20),
		"control":          "tab\tnewline\ncarriage\rbell\a",
		"md5 look":         "md5" + strings.Repeat("0", 31) + "g",
		"native look":      "*" + strings.Repeat("0", 39) + "G",
		"percent":          "%s %d %v %!(EXTRA)",
		"semicolon":        "'; drop table orders; --",
		"braces":           "{{.Password}} {$ref} [redacted]",
		"one blank":        " ",
		"non-breaking":     "non\u00a0breaking\u3000spaces",
		"right to left":    "\u202eright\u202c to left",
		"unassigned":       "\U000e0123 \u0378",
		"equals and comma": "a=b,c=d;e=f",
	}
}
