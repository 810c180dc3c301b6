package pool

// A pace bounds how many connections a pool is short of while they are
// exchanged. It is pure; the keeper's goroutine owns it. The zero value is one
// at rest.
type pace struct {
	size int // the most connections that were ready since the rollover began
	lost int // beats in a row in which some were missing without a reason
}

// A tally is how the connections of a pool stand.
type tally struct {
	ready   int // logged in and in the pool, lent ones included
	coming  int // being made
	leaving int // out of the pool, waiting to be replaced
}

// shrunk is after how many beats what is missing without a reason is believed
// to be gone for good. Between giving a connection up and making the next one
// there is a moment in which a pool knows of neither.
const shrunk = 10

// grant returns how many more connections may be exchanged where most may be
// missing.
func (p *pace) grant(most int, t tally) int {
	p.size = max(p.size, t.ready)
	missing := p.size - t.ready
	gone := missing - t.coming - t.leaving
	if gone <= 0 {
		p.lost = 0
	} else if p.lost++; p.lost >= shrunk { // the pool closed them for reasons of its own
		p.lost = 0
		p.size -= gone
		missing -= gone
	}
	return max(most-missing, 0)
}
