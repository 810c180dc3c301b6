package report

import (
	"maps"
	"sync"
	"time"

	"github.com/rekey-go/rekey/rotate"
)

// A Tally counts how the steps of rotations end. Its Audit goes into
// [rotate.Config], of as many rotators as there are. The zero value is ready, and
// its methods are safe for concurrent use.
type Tally struct {
	mu      sync.Mutex
	since   time.Time // of the first event
	secrets map[string]*count
}

// A count is what a tally knows of one secret.
type count struct {
	steps, failed int
	classes       map[string]int
	begun         map[string]time.Time // rotations that are not over
}

// Audit counts an event.
func (t *Tally) Audit(e rotate.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = e.Time
	}
	if t.secrets == nil {
		t.secrets = make(map[string]*count)
	}
	c := t.secrets[e.Secret]
	if c == nil {
		c = &count{classes: make(map[string]int), begun: make(map[string]time.Time)}
		t.secrets[e.Secret] = c
	}
	c.add(e)
}

func (c *count) add(e rotate.Event) {
	if _, known := c.begun[e.Rotation]; !known && e.Rotation != "" && e.Step == rotate.StepCreate {
		c.begun[e.Rotation] = e.Time
	}
	if e.Outcome == rotate.OutcomeBegun {
		return
	}
	c.steps++
	if e.Outcome == rotate.OutcomeFailed {
		c.failed++
		c.classes[e.Class]++
		return
	}
	if e.Step == rotate.StepPromote || e.Step == rotate.StepDiscard {
		delete(c.begun, e.Rotation)
	}
}

// of copies what is known of a secret.
func (t *Tally) of(secret string) count {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.secrets[secret]
	if c == nil {
		return count{}
	}
	return count{c.steps, c.failed, maps.Clone(c.classes), maps.Clone(c.begun)}
}

// start returns when counting began, which is now if nothing has been counted.
func (t *Tally) start(now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = now
	}
	return t.since
}

// reported takes off what a report has told, and counts from its time on.
func (t *Tally) reported(r Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = r.Time
	for _, s := range r.Secrets {
		c := t.secrets[s.Name]
		if c == nil {
			continue
		}
		c.steps -= s.Steps
		c.failed -= s.Failed
		for class, n := range s.Classes {
			if c.classes[class] -= n; c.classes[class] == 0 {
				delete(c.classes, class)
			}
		}
	}
}
