package plot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/storm/plot"
)

func TestRateDrawsEveryCount(t *testing.T) {
	all := parse(t, plot.Rate{
		Title: "a <rate>", Setting: "here", Heading: "things per second",
		Counts: []int{3, 0, 10, 2},
		Lines:  []plot.Line{{Value: 5, From: 2 * time.Second, Name: "mean"}, {Value: 20, Name: "bound"}},
		Marks:  []plot.Mark{{At: 2 * time.Second, Name: "settled"}},
	}.SVG())
	counts := find(all, "path", "id", "counts")
	require.Len(t, counts, 1)
	require.Equal(t, 5, strings.Count(counts[0].attr["d"], "V"), "each count, and back to the axis")
	require.Len(t, find(all, "line", "class", "level"), 2)
	mark := find(all, "line", "class", "mark")
	require.Len(t, mark, 1)
	require.Equal(t, "476", mark[0].attr["x1"], "in the middle of 66 to 886")
	desc := find(all, "desc")[0].text
	for _, part := range []string{"at most 10", "mean", "bound", "settled"} {
		require.Contains(t, desc, part)
	}
}

func TestRateCutsOffWhatIsTooHigh(t *testing.T) {
	all := parse(t, plot.Rate{Counts: []int{1000, 1, 2}, Top: 10}.SVG())
	require.Equal(t, "1000 at once", find(all, "text", "class", "cut")[0].text)
	require.Contains(t, find(all, "path", "id", "counts")[0].attr["d"], "M66 344V134H")
}

func TestRateOfNothing(t *testing.T) {
	require.NotEmpty(t, parse(t, plot.Rate{}.SVG()))
}
