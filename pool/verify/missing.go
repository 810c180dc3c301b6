package verify

import "strings"

// A MissingError lists rights that a role lacks. Use [errors.As] to find it.
type MissingError struct {
	Role    string    // the session's current_user, quoted where SQL needs it
	Missing []Missing // at least one
}

// Missing is one right on one object.
type Missing struct {
	Right  string // such as "select" or "update (qty)"
	Object string // such as "table public.orders"
}

// Error names the role, each right and the statements that grant them.
func (e *MissingError) Error() string {
	var rights, grants []string
	for _, m := range e.Missing {
		rights = append(rights, m.Right+" on "+m.Object)
		grants = append(grants, m.Grant(e.Role))
	}
	return "verify: role " + e.Role + " lacks " + strings.Join(rights, ", ") + "; what helps: " + strings.Join(grants, "; ")
}

// Grant returns the statement that gives the right to a role, whose name is
// quoted where SQL needs it.
func (m Missing) Grant(role string) string {
	return "GRANT " + m.Right + " ON " + m.Object + " TO " + role
}
