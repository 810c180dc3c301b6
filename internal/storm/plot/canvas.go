package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Colours of text and lines; the background is white whatever the page is.
const (
	ink   = "#1f2328"
	faint = "#59636e"
	grid  = "#e3e7eb"
	alarm = "#b3261e"
)

// A canvas is the text of an SVG as it grows.
type canvas struct{ bytes.Buffer }

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// element writes an element that holds only text.
func (c *canvas) element(name, attributes, text string) {
	c.printf("<%s %s>", name, attributes)
	_ = xml.EscapeText(c, []byte(text)) // a buffer takes everything
	c.printf("</%s>\n", name)
}

func (c *canvas) text(x, y float64, attributes, text string) {
	c.element("text", fmt.Sprintf(`x="%s" y="%s" %s`, num(x), num(y), attributes), text)
}

func (c *canvas) line(x1, y1, x2, y2 float64, attributes string) {
	c.printf(`<line x1="%s" y1="%s" x2="%s" y2="%s" %s/>`+"\n", num(x1), num(y1), num(x2), num(y2), attributes)
}

// num writes a coordinate to a tenth of a pixel.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// A scale maps values between from and to, which differ, to pixels.
type scale struct{ from, to, first, last float64 }

func (s scale) at(v float64) float64 {
	return s.first + (v-s.from)/(s.to-s.from)*(s.last-s.first)
}

// time maps a time.
func (s scale) time(d time.Duration) float64 { return s.at(d.Seconds()) }

// step is the roundest distance of ticks that makes at most n of them.
func step(span float64, n int) float64 {
	for _, s := range []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800} {
		if span/s <= float64(n) {
			return s
		}
	}
	return 3600 * math.Ceil(span/3600/float64(n))
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// short writes a duration with two figures and its unit.
func short(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	switch {
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms >= 1:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	default:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	}
}
