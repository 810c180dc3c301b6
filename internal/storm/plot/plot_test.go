package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/plot"
)

// An element is one start tag of the picture, with the text up to the next tag.
type element struct {
	name, text string
	attr       map[string]string
}

// parse reads the picture as XML and refuses what must not be in one.
func parse(t testing.TB, svg []byte) (all []element) {
	t.Helper()
	require.Less(t, len(svg), 60_000)
	for _, bad := range []string{"NaN", "Inf", "%!", "<script", "@import", "href"} {
		require.NotContains(t, string(svg), bad)
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			all = append(all, e)
		case xml.CharData:
			if len(all) > 0 {
				all[len(all)-1].text += strings.TrimSpace(string(token))
			}
		}
	}
}

func find(all []element, name string, attr ...string) (found []element) {
	for _, e := range all {
		if e.name == name && (len(attr) == 0 || strings.HasPrefix(e.attr[attr[0]], attr[1])) {
			found = append(found, e)
		}
	}
	return found
}

func number(t testing.TB, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

// rollover is a run in which each rotation replaces the connections one by one.
func rollover(size, rotations int, length, interval time.Duration) plot.Run {
	r := plot.Run{Setting: "a & b <c>", Length: length, Size: size, Login: 20 * time.Millisecond}
	var latency load.Histogram
	pause := length / time.Duration(rotations+1)
	for i := range rotations {
		r.Rotations = append(r.Rotations, plot.Rotation{At: time.Duration(i+1) * pause, User: i%2 == 1})
	}
	for at := time.Duration(0); at <= length; at += interval {
		done := min(int(at/pause), rotations)
		generation := uint64(done) + 1
		fresh := min(int((at-time.Duration(done)*pause)/(20*time.Millisecond)), size)
		s := plot.Sample{At: at, Connections: map[uint64]int{generation: fresh}, Latency: latency.Counts()}
		if generation > 1 && fresh < size {
			s.Connections[generation-1] = size - fresh
		}
		r.Samples = append(r.Samples, s)
		for i := range 100 {
			latency.Add(time.Duration(i+1) * 100 * time.Microsecond)
		}
		r.Statements += 100
	}
	return r
}

// extent is the band's height in connections at x, read back from its path.
func extent(t testing.TB, path string, x, perConnection float64) float64 {
	t.Helper()
	var corners [][2]float64
	var at [2]float64
	for _, c := range strings.FieldsFunc(strings.NewReplacer("h", ";h", "v", ";v", "z", "").Replace(path), func(r rune) bool { return r == ';' }) {
		switch c[0] {
		case 'M':
			px, py, _ := strings.Cut(c[1:], " ")
			at = [2]float64{number(t, px), number(t, py)}
		case 'h':
			at[0] += number(t, c[1:])
		case 'v':
			at[1] += number(t, c[1:])
		}
		corners = append(corners, at)
	}
	var top, bottom float64
	for i := range corners[:len(corners)-1] {
		a, b := corners[i], corners[i+1]
		if a[1] == b[1] && min(a[0], b[0]) <= x && x < max(a[0], b[0]) {
			if a[0] < b[0] {
				top = a[1]
			} else {
				bottom = a[1]
			}
		}
	}
	return (bottom - top) / perConnection
}

func TestPictureShowsWhatWasSampled(t *testing.T) {
	r := rollover(16, 10, 20*time.Second, 50*time.Millisecond)
	all := parse(t, r.SVG())
	require.Equal(t, "40,100 statements, 0 failed, through 10 rotations", find(all, "title", "id", "title")[0].text)
	require.Contains(t, find(all, "desc")[0].text, "11 generations, at least 0 and at most 16 connections")

	const left, right = 66.0, 886.0
	passwords, users := find(all, "path", "class", "password"), find(all, "path", "class", "user")
	require.Len(t, passwords, 5)
	require.Len(t, users, 5)
	for i, rotation := range r.Rotations {
		line := passwords[i/2]
		if rotation.User {
			line = users[i/2]
		}
		var x1, x2 float64
		var y1, y2, y3, y4 int
		_, err := fmt.Sscanf(line.attr["d"], "M%f %dV%dM%f %dV%d", &x1, &y1, &y2, &x2, &y3, &y4)
		require.NoError(t, err)
		require.InDelta(t, left+(right-left)*rotation.At.Seconds()/20, x1, 0.1)
		require.Equal(t, x1, x2, "in both panels")
		require.IsIncreasing(t, []int{y1, y2, y3, y4})
	}

	bands := find(all, "path", "id", "generation-")
	require.Len(t, bands, 11)
	fills := map[string]string{}
	unit := 210 / (16 * 1.06) // pixels for a connection
	for i, b := range bands {
		generation, err := strconv.ParseUint(strings.TrimPrefix(b.attr["id"], "generation-"), 10, 64)
		require.NoError(t, err)
		require.EqualValues(t, i+1, generation)
		fills[b.attr["id"]] = b.attr["fill"]
		require.NotEqual(t, fills[fmt.Sprintf("generation-%d", generation-1)], b.attr["fill"], "neighbours differ")
		for _, s := range r.Samples[:len(r.Samples)-1] {
			x := left + (right-left)*(s.At+25*time.Millisecond).Seconds()/20
			require.InDelta(t, s.Connections[generation], extent(t, b.attr["d"], x, unit), 0.05, "generation %d at %v", generation, s.At)
		}
	}

	for id, want := range map[string]time.Duration{"p50": 5100 * time.Microsecond, "p99": 10 * time.Millisecond, "longest": 10 * time.Millisecond} {
		path := find(all, "path", "id", id)[0].attr["d"]
		points := strings.FieldsFunc(path, func(r rune) bool { return r == 'M' || r == 'L' })
		require.Len(t, points, 100)
		_, y, _ := strings.Cut(points[50], " ")
		ms := math.Pow(10, (566-number(t, y))/170*2) // from 1 ms to 100 ms on 170 pixels
		require.InEpsilon(t, float64(want.Microseconds())/1000, ms, 1.0/15, id)
	}
	require.Len(t, find(all, "line", "id", "login"), 1)
	require.Empty(t, find(all, "rect", "class", "failed"))
}

func TestFailuresShow(t *testing.T) {
	r := rollover(4, 2, 4*time.Second, 50*time.Millisecond)
	r.Failed = 3
	for i := 40; i < len(r.Samples); i++ {
		r.Samples[i].Failed = 3
	}
	all := parse(t, r.SVG())
	require.Contains(t, find(all, "title", "id", "title")[0].text, "3 failed")
	marks := find(all, "rect", "class", "failed")
	require.Len(t, marks, 1)
	require.InDelta(t, 66+820*2/4.05, number(t, marks[0].attr["x"]), 25)
}

// A dip of one sample must not get lost among its neighbours.
func TestDipsSurviveTheThinningOut(t *testing.T) {
	r := rollover(16, 100, time.Minute, 50*time.Millisecond)
	require.Greater(t, len(r.Samples), 1000)
	r.Samples[777].Connections = map[uint64]int{5: 3}
	all := parse(t, r.SVG())
	var shown float64
	for _, b := range find(all, "path", "id", "generation-") {
		shown += extent(t, b.attr["d"], 66+820*(r.Samples[777].At+20*time.Millisecond).Minutes(), 210/(16*1.06))
	}
	require.InDelta(t, 3, shown, 0.05)
	require.Len(t, append(find(all, "path", "class", "password"), find(all, "path", "class", "user")...), 100)
}

func TestGapsWithoutStatements(t *testing.T) {
	r := rollover(4, 1, 4*time.Second, 50*time.Millisecond)
	for i := 20; i <= 40; i++ {
		r.Samples[i].Latency = r.Samples[20].Latency
	}
	all := parse(t, r.SVG())
	require.Equal(t, 2, strings.Count(find(all, "path", "id", "p50")[0].attr["d"], "M"))
}

func TestAnythingCanBeDrawn(t *testing.T) {
	var h load.Histogram
	parse(t, plot.Run{}.SVG())
	parse(t, plot.Run{Size: 16, Length: -1, Rotations: []plot.Rotation{{At: time.Hour}}}.SVG())
	parse(t, plot.Run{Samples: []plot.Sample{{Latency: h.Counts()}}}.SVG())
	parse(t, plot.Run{Samples: []plot.Sample{{Latency: h.Counts()}, {Latency: h.Counts()}}}.SVG())

	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		r := plot.Run{
			Length: time.Duration(random.Int64N(int64(3 * time.Hour))), Size: random.IntN(300),
			Statements: random.Int64(), Login: time.Duration(random.Int64N(int64(time.Minute))),
		}
		var latency load.Histogram
		for at, n := time.Duration(0), random.IntN(1300); n > 0; n-- {
			at += time.Duration(random.Int64N(int64(10 * time.Second)))
			s := plot.Sample{At: at, Connections: map[uint64]int{}, Failed: random.Int64N(3)}
			for range random.IntN(3) {
				s.Connections[uint64(random.IntN(5))] = random.IntN(200)
				latency.Add(time.Duration(random.ExpFloat64() * float64(time.Second)))
			}
			s.Latency = latency.Counts()
			r.Samples = append(r.Samples, s)
			if random.IntN(10) == 0 && len(r.Rotations) < 100 {
				r.Rotations = append(r.Rotations, plot.Rotation{At: at, User: random.IntN(2) == 0})
			}
		}
		parse(t, r.SVG())
	}
}
