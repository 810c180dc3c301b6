package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A tint is a colour that is told from its neighbours by the colour-blind too
// (after Okabe and Ito), and the text that reads on it.
type tint struct{ fill, text string }

var tints = []tint{
	{"#0072b2", "#ffffff"},
	{"#e69f00", "#000000"},
	{"#009e73", "#000000"},
	{"#cc79a7", "#000000"},
	{"#56b4e9", "#000000"},
	{"#d55e00", "#000000"},
}

// mostColumns is how many samples are drawn: two pixels each.
const mostColumns = (right - left) / 2

// columns are the samples to draw. Where there are too many, each stands for
// its neighbours and is the one with the fewest connections.
func (r Run) columns() []Sample {
	stride := (len(r.Samples) + mostColumns - 1) / mostColumns
	if stride <= 1 {
		return r.Samples
	}
	var columns []Sample
	for i := 0; i < len(r.Samples); i += stride {
		worst := r.Samples[i]
		for _, s := range r.Samples[i+1 : min(i+stride, len(r.Samples))] {
			if s.total() < worst.total() {
				worst = s
			}
		}
		columns = append(columns, worst)
	}
	return columns
}

// drawBands stacks the connections of each generation, the oldest lowest. A
// count holds until the next sample.
func (r Run) drawBands(c *canvas, x scale) {
	most := max(r.Size, 1)
	for _, s := range r.Samples {
		most = max(most, s.total())
	}
	y := scale{0, float64(most) * 1.06, bandBottom, bandTop}
	c.text(left, bandTop-36, `font-weight="600"`, "Open connections, by the generation of the credential they logged in with")
	every := int(step(float64(most), 5))
	if r.Size > 0 && r.Size%4 == 0 && r.Size <= most && most < 2*r.Size {
		every = r.Size / 4
	}
	for n := 0; n <= most; n += every {
		c.line(left, y.at(float64(n)), right, y.at(float64(n)), `stroke="`+grid+`"`)
		c.text(left-8, y.at(float64(n))+4.5, `text-anchor="end" fill="`+faint+`"`, fmt.Sprint(n))
	}

	var bands []band
	columns := r.columns()
	below := make([]int, len(columns))
	for i, generation := range r.generations() {
		b := band{generation: generation, tint: tints[i%len(tints)], columns: columns, length: r.Length, below: below, above: make([]int, len(columns))}
		for j, s := range columns {
			b.above[j] = below[j] + s.Connections[generation]
		}
		bands = append(bands, b)
		below = b.above
	}
	c.printf(`<g stroke="#ffffff" stroke-width="0.5">` + "\n")
	for _, b := range bands {
		b.draw(c, x, y)
	}
	c.printf("</g>\n")
	for _, b := range bands {
		b.label(c, r.Rotations, x, y)
	}
	if r.Size > 0 {
		c.line(left, y.at(float64(r.Size)), right, y.at(float64(r.Size)), `stroke="`+ink+`" stroke-dasharray="2 3"`)
		c.text(right+8, y.at(float64(r.Size))+4.5, `fill="`+ink+`"`, fmt.Sprintf("pool size %d", r.Size))
	}
}

// A band is the connections of one generation, between two edges.
type band struct {
	generation   uint64
	tint         tint
	columns      []Sample
	length       time.Duration // of the run
	below, above []int         // for each column
}

// end is when column j gives way to the next.
func (b band) end(j int) time.Duration {
	if j+1 < len(b.columns) {
		return b.columns[j+1].At
	}
	return b.length
}

func (b band) draw(c *canvas, x, y scale) {
	from, to := -1, 0 // the columns where it is
	for j := range b.columns {
		if b.above[j] > b.below[j] {
			if from < 0 {
				from = j
			}
			to = j + 1
		}
	}
	if from < 0 {
		return
	}
	p := outline{x: x, y: y}
	p.start(b.columns[from].At, b.above[from])
	for j := from + 1; j < to; j++ {
		p.to(b.columns[j].At, b.above[j])
	}
	p.to(b.end(to-1), b.below[to-1])
	for j := to - 1; j > from; j-- {
		p.to(b.columns[j].At, b.below[j-1])
	}
	p.to(b.columns[from].At, b.above[from])
	c.printf(`<path id="generation-%d" fill="%s" d="%sz">`, b.generation, b.tint.fill, p.text.String())
	c.printf("<title>generation %d, %.2f s to %.2f s</title></path>\n", b.generation, b.columns[from].At.Seconds(), b.end(to-1).Seconds())
}

// An outline is a path of level and upright lines. Its numbers are distances, in
// tenths of pixels until they are written, which is shortest and adds up.
type outline struct {
	x, y   scale
	text   strings.Builder
	px, py int // where it is written to
	n      int
}

func tenths(v float64) int { return int(math.Round(v * 10)) }

func (p *outline) start(at time.Duration, n int) {
	p.px, p.py, p.n = tenths(p.x.time(at)), tenths(p.y.at(float64(n))), n
	fmt.Fprintf(&p.text, "M%s %s", num(float64(p.px)/10), num(float64(p.py)/10))
}

// to goes to a time and then to a number of connections there.
func (p *outline) to(at time.Duration, n int) {
	if n == p.n {
		return // the next change goes on from here
	}
	x, y := tenths(p.x.time(at)), tenths(p.y.at(float64(n)))
	fmt.Fprintf(&p.text, "h%sv%s", num(float64(x-p.px)/10), num(float64(y-p.py)/10))
	p.px, p.py, p.n = x, y, n
}

// label writes the number where the band is alone and there is room between the
// lines of rotations.
func (b band) label(c *canvas, rotations []Rotation, x, y scale) {
	first, last, most := -1, -1, 0
	for j, s := range b.columns {
		if n := b.above[j] - b.below[j]; n > 0 && n == s.total() {
			if first < 0 {
				first = j
			}
			last, most = j, max(most, n)
		}
	}
	if first < 0 {
		return
	}
	edges := []float64{x.time(b.columns[first].At), x.time(b.end(last))}
	for _, rotation := range rotations {
		if at := x.time(rotation.At); edges[0] < at && at < edges[len(edges)-1] {
			edges = slices.Insert(edges, len(edges)-1, at)
		}
	}
	var from, to float64 // the widest room
	for i := range edges[1:] {
		if edges[i+1]-edges[i] > to-from {
			from, to = edges[i], edges[i+1]
		}
	}
	text, need := fmt.Sprintf("generation %d", b.generation), 98.0
	if to-from < need {
		text, need = fmt.Sprint(b.generation), 20
	}
	if to-from >= need {
		c.text((from+to)/2, y.at(float64(most)/2)+4.5, `text-anchor="middle" fill="`+b.tint.text+`"`, text)
	}
}
