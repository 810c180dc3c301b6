package faults

import (
	"sync"
	"time"
)

// Progress is how soon a client is served after a moment that somebody asks
// about. The zero value is one that nobody has asked about.
type Progress struct {
	mu    sync.Mutex
	since time.Time
	first time.Time // end of the first success that began after since
}

// Served notes a success that began at a moment and has just ended.
func (p *Progress) Served(begun time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first.IsZero() && !p.since.IsZero() && begun.After(p.since) {
		p.first = time.Now()
	}
}

// Ask begins to look for a success that begins after a moment.
func (p *Progress) Ask(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.first = since, time.Time{}
}

// First is when that ended; zero: it has not yet.
func (p *Progress) First() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}
