package plot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Rate is how often something happened over time, as a picture of its own.
type Rate struct {
	Title   string
	Setting string        // one line on what ran where
	Heading string        // what the counts are
	Every   time.Duration // how long one count is; zero: a second
	Counts  []int         // in order of time
	Top     float64       // what is above is cut off and written as a number; zero: nothing is
	Lines   []Line
	Marks   []Mark
}

// A Line is a value that counts are compared with.
type Line struct {
	Value float64
	From  time.Duration
	Name  string
}

// A Mark is a moment with a name.
type Mark struct {
	At   time.Duration
	Name string
}

// The layout of a rate, in pixels; width and margins are those of a [Run].
const (
	rateHeight = 400
	rateTop    = 134
	rateBottom = 344
)

// SVG returns the picture.
func (r Rate) SVG() []byte {
	r.Every = cmp.Or(r.Every, time.Second)
	length := max(time.Duration(len(r.Counts))*r.Every, time.Second)
	most := float64(slices.Max(append(r.Counts, 1)))
	for _, l := range r.Lines {
		most = max(most, l.Value)
	}
	if r.Top > 0 {
		most = min(most, r.Top)
	}
	c := new(canvas)
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc" `+
		`font-family="-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13" fill="%s">`+"\n", width, rateHeight, width, rateHeight, ink)
	c.element("title", `id="title"`, r.Title)
	c.element("desc", `id="desc"`, r.describe(length))
	c.printf(`<rect x="0.5" y="0.5" width="%d" height="%d" rx="8" fill="#ffffff" stroke="#d0d7de"/>`+"\n", width-1, rateHeight-1)
	c.text(left, 40, `font-size="20" font-weight="600"`, r.Title)
	c.text(left, 63, `fill="`+faint+`"`, r.Setting)
	c.text(left, rateTop-34, `font-weight="600"`, r.Heading)

	x := scale{0, length.Seconds(), left, right}
	y := scale{0, most * 1.05, rateBottom, rateTop}
	every := step(most, 5)
	for v := 0.0; v <= y.to; v += every {
		c.line(left, y.at(v), right, y.at(v), `stroke="`+grid+`"`)
		c.text(left-8, y.at(v)+4.5, `text-anchor="end" fill="`+faint+`"`, fmt.Sprint(v))
	}
	r.drawCounts(c, x, y)
	for _, l := range r.Lines {
		c.line(x.time(l.From), y.at(l.Value), right, y.at(l.Value), `class="level" stroke="`+ink+`" stroke-dasharray="5 3"`)
		c.text(right+8, y.at(l.Value)+4.5, "", l.Name)
	}
	for _, m := range r.Marks {
		c.line(x.time(m.At), rateTop-6, x.time(m.At), rateBottom, `class="mark" stroke="`+ink+`" stroke-opacity="0.8"`)
		c.text(x.time(m.At), rateTop-11, `text-anchor="middle" font-size="11" fill="`+faint+`"`, m.Name)
	}
	every = step(length.Seconds(), 12)
	for v := 0.0; v <= length.Seconds(); v += every {
		c.line(x.at(v), rateBottom, x.at(v), rateBottom+5, `stroke="`+faint+`"`)
		c.text(x.at(v), rateBottom+20, `text-anchor="middle" fill="`+faint+`"`, fmt.Sprint(v))
	}
	c.line(left, rateBottom, right, rateBottom, `stroke="`+faint+`"`)
	c.text((left+right)/2, rateBottom+40, `text-anchor="middle" fill="`+faint+`"`, "seconds since the start")
	c.printf("</svg>\n")
	return c.Bytes()
}

// drawCounts draws a step for each count.
func (r Rate) drawCounts(c *canvas, x, y scale) {
	var path strings.Builder
	fmt.Fprintf(&path, "M%d %d", left, rateBottom)
	for i, n := range r.Counts {
		end := x.time(time.Duration(i+1) * r.Every)
		fmt.Fprintf(&path, "V%sH%s", num(y.at(min(float64(n), y.to))), num(end))
		if float64(n) > y.to {
			c.text(end+4, rateTop+9, `class="cut" font-size="11"`, fmt.Sprintf("%d at once", n))
		}
	}
	c.printf(`<path id="counts" fill="#0969da" fill-opacity="0.25" stroke="#0969da" d="%sV%dZ"/>`+"\n", path.String(), rateBottom)
}

// describe is the picture in words, for those who do not see it.
func (r Rate) describe(length time.Duration) string {
	text := fmt.Sprintf("%s, over %v, at most %d.", r.Heading, length, slices.Max(append(r.Counts, 0)))
	for _, l := range r.Lines {
		text += fmt.Sprintf(" A line at %.1f: %s.", l.Value, l.Name)
	}
	for _, m := range r.Marks {
		text += fmt.Sprintf(" A mark at %v: %s.", m.At, m.Name)
	}
	return text
}
