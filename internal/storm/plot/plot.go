// Package plot draws how a pool lived through rotations: its connections per
// generation and the latency of its statements over time, as one SVG that needs
// nothing else and reads on a light page and on a dark one.
package plot

import (
	"fmt"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/storm/load"
)

// A Run is what is drawn. Everything may be empty.
type Run struct {
	Setting    string        // one line on what ran where
	Length     time.Duration // of the time axis; at least up to the last sample
	Size       int           // how many connections the pool may have; zero: unknown
	Statements int64
	Failed     int64
	Login      time.Duration // what a login takes meanwhile; zero: unknown
	Samples    []Sample      // in order of time
	Rotations  []Rotation
}

// A Sample is how a pool and its clients stood at one moment.
type Sample struct {
	At          time.Duration  // since the start
	Connections map[uint64]int // by generation
	Latency     *load.Counts   // of all statements so far
	Failed      int64          // statements so far
}

// A Rotation is the moment when an operator began to change the credential.
type Rotation struct {
	At   time.Duration
	User bool // a new user; else a new password for the same one
}

// The layout, in pixels at the size that the picture is made for.
const (
	width, height = 1000, 620
	left, right   = 66, 886
	bandTop       = 134
	bandBottom    = 344
	latencyTop    = 396
	latencyBottom = 566
)

// SVG returns the picture.
func (r Run) SVG() []byte {
	if n := len(r.Samples); n > 0 {
		r.Length = max(r.Length, r.Samples[n-1].At)
	}
	r.Length = max(r.Length, time.Second)
	c := new(canvas)
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc" `+
		`font-family="-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" fill="#1f2328">`+"\n", width, height, width, height)
	c.element("title", `id="title"`, r.title())
	c.element("desc", `id="desc"`, r.describe())
	c.printf(`<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="#ffffff" stroke="#d0d7de"/>`+"\n", width-1, height-1)
	fill := ink
	if r.Failed > 0 {
		fill = alarm
	}
	c.text(left, 40, `font-size="20" font-weight="600" fill="`+fill+`"`, r.title())
	c.text(left, 63, `fill="`+faint+`"`, r.Setting)

	x := scale{0, r.Length.Seconds(), left, right}
	r.drawTime(c, x)
	r.drawBands(c, x)
	r.drawLatency(c, x)
	r.drawRotations(c, x)
	c.printf("</svg>\n")
	return c.Bytes()
}

func (r Run) title() string {
	return fmt.Sprintf("%s statements, %s failed, through %d rotations", thousands(r.Statements), thousands(r.Failed), len(r.Rotations))
}

// describe is the picture in words, for those who do not see it.
func (r Run) describe() string {
	var least, most int
	for i, s := range r.Samples {
		n := s.total()
		if i == 0 || n < least {
			least = n
		}
		most = max(most, n)
	}
	text := fmt.Sprintf("Over %v, stacked bands show the pool's open connections by the generation of the credential that they logged in with: "+
		"%d generations, at least %d and at most %d connections at a time. ", r.Length.Round(100*time.Millisecond), len(r.generations()), least, most)
	if r.Size > 0 {
		text += fmt.Sprintf("The pool may have %d. ", r.Size)
	}
	if n := len(r.Samples); n > 0 {
		q := r.Samples[n-1].Latency.Since(r.Samples[0].Latency).Quantiles()
		text += fmt.Sprintf("Below, the latency of the statements on a logarithmic scale: median %s, 99th percentile %s, longest %s over the whole run.",
			short(q.P50), short(q.P99), short(q.Max))
	}
	return text
}

// generations are all that any sample has seen, in order.
func (r Run) generations() (all []uint64) {
	for _, s := range r.Samples {
		for generation := range s.Connections {
			if i, found := slices.BinarySearch(all, generation); !found {
				all = slices.Insert(all, i, generation)
			}
		}
	}
	return all
}

func (s Sample) total() (n int) {
	for _, m := range s.Connections {
		n += m
	}
	return n
}
