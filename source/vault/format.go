package vault

import (
	"fmt"
	"io"
)

// What is printed names the path and nothing else, for every verb: fmt would
// read what others are changing meanwhile.

// Format prints the constructor and the path.
func (d *dynamic) Format(f fmt.State, _ rune) { describe(f, "vault.Dynamic", d.read.path) }

// Format prints the constructor and the path.
func (s *static) Format(f fmt.State, _ rune) { describe(f, "vault.Static", s.read.path) }

// Format prints the constructor and the path.
func (k *kv) Format(f fmt.State, _ rune) { describe(f, "vault.KV", k.read.path) }

// Format prints the source of the lease, whose ID is not for everybody.
func (l *lease) Format(f fmt.State, _ rune) {
	describe(f, "a lease of vault.Dynamic", l.source.read.path)
}

// Format prints that it is a session, see [Session.Health] for more.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "vault.Session") }

func describe(f fmt.State, what, path string) { _, _ = fmt.Fprintf(f, "%s(%q)", what, path) }
