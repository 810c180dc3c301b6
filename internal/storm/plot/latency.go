package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/storm/load"
)

// mostSlices is how many parts the time is cut into for latency.
const mostSlices = 120

// A slice is the statements that ended between two samples.
type slice struct {
	from, to   time.Duration
	statements int64
	failed     int64
	latency    load.Quantiles
}

// slices cuts the run into parts of several samples each.
func (r Run) slices() (all []slice) {
	stride := max((len(r.Samples)-1+mostSlices-1)/mostSlices, 1)
	for i := 0; i+1 < len(r.Samples); i += stride {
		a, b := r.Samples[i], r.Samples[min(i+stride, len(r.Samples)-1)]
		counts := b.Latency.Since(a.Latency)
		all = append(all, slice{a.At, b.At, counts.Total(), b.Failed - a.Failed, counts.Quantiles()})
	}
	return all
}

// A series is one line of the latency panel.
type series struct {
	name, style string
	of          func(load.Quantiles) time.Duration
}

var lines = []series{
	{"longest", `stroke="#8c959f" stroke-width="1"`, func(q load.Quantiles) time.Duration { return q.Max }},
	{"p99", `stroke="#59636e" stroke-width="1.5"`, func(q load.Quantiles) time.Duration { return q.P99 }},
	{"p50", `stroke="#1f2328" stroke-width="2"`, func(q load.Quantiles) time.Duration { return q.P50 }},
}

// drawLatency draws the quantiles of each slice on a logarithmic scale, and a
// mark under each slice in which statements failed.
func (r Run) drawLatency(c *canvas, x scale) {
	parts := r.slices()
	low, high := r.decades(parts)
	y := scale{float64(low), float64(high), latencyBottom, latencyTop}
	of := func(d time.Duration) float64 {
		return y.at(math.Log10(float64(max(d, time.Microsecond)) / float64(time.Millisecond)))
	}
	heading, legend := "Latency of the statements, logarithmic", ""
	if len(parts) > 0 {
		span := (parts[len(parts)-1].to - parts[0].from) / time.Duration(len(parts))
		legend = fmt.Sprintf("a point each %d ms", span.Round(10*time.Millisecond).Milliseconds())
	}
	c.text(left, latencyTop-16, `font-weight="600"`, heading)
	for decade := low; decade <= high; decade++ {
		at := y.at(float64(decade))
		c.line(left, at, right, at, `stroke="`+grid+`"`)
		c.text(left-8, at+4.5, `text-anchor="end" fill="`+faint+`"`, unit(decade))
	}
	if r.Login > 0 && of(r.Login) >= latencyTop && of(r.Login) <= latencyBottom {
		c.line(left, of(r.Login), right, of(r.Login), `id="login" stroke="`+ink+`" stroke-dasharray="2 3"`)
		legend += "; dotted: what a login takes, " + short(r.Login)
	}
	c.text(right, latencyTop-16, `text-anchor="end" fill="`+faint+`"`, legend)
	var labels []label
	for _, s := range lines {
		var path strings.Builder
		command, last := "M", -1
		for i, p := range parts {
			if p.statements == 0 { // a gap
				command = "M"
				continue
			}
			fmt.Fprintf(&path, "%s%s %s", command, num(x.time((p.from+p.to)/2)), num(of(s.of(p.latency))))
			command, last = "L", i
		}
		if last < 0 {
			continue
		}
		c.printf(`<path id="%s" fill="none" stroke-linejoin="round" %s d="%s"/>`+"\n", s.name, s.style, path.String())
		labels = append(labels, label{of(s.of(parts[last].latency)), s.name})
	}
	for _, l := range spread(labels) {
		c.text(right+8, l.y+4.5, "", l.text)
	}
	for _, p := range parts {
		if p.failed > 0 {
			c.printf(`<rect class="failed" x="%s" y="%d" width="%s" height="8" fill="%s"><title>%d failed</title></rect>`+"\n",
				num(x.time(p.from)), latencyBottom-8, num(max(x.time(p.to)-x.time(p.from), 2)), alarm, p.failed)
		}
	}
}

// decades are the powers of ten, of milliseconds, that the scale reaches from
// and to.
func (r Run) decades(parts []slice) (low, high int) {
	shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
	for _, p := range parts {
		if p.statements > 0 {
			shortest, longest = min(shortest, p.latency.P50), max(longest, p.latency.Max)
		}
	}
	if longest == 0 {
		return -1, 2
	}
	longest = max(longest, r.Login)
	power := func(d time.Duration) float64 {
		return math.Log10(float64(max(d, 10*time.Microsecond)) / float64(time.Millisecond))
	}
	low, high = int(math.Floor(power(shortest))), int(math.Ceil(power(longest)))
	return low, max(high, low+1)
}

// unit writes a power of ten of milliseconds.
func unit(decade int) string {
	switch {
	case decade >= 3:
		return fmt.Sprintf("%g s", math.Pow10(decade-3))
	case decade < -1:
		return fmt.Sprintf("%g µs", math.Pow10(decade+3))
	}
	return fmt.Sprintf("%g ms", math.Pow10(decade))
}

// A label stands at the end of a line.
type label struct {
	y    float64
	text string
}

// spread moves labels apart, so that none covers another.
func spread(labels []label) []label {
	const apart = 15
	slices.SortStableFunc(labels, func(a, b label) int { return int(math.Round(a.y - b.y)) })
	for i := 1; i < len(labels); i++ {
		labels[i].y = max(labels[i].y, labels[i-1].y+apart)
	}
	for i, limit := len(labels)-1, float64(latencyBottom); i >= 0; i, limit = i-1, limit-apart {
		labels[i].y = min(labels[i].y, limit)
	}
	return labels
}
