package alerttest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// exported maps the name of each series that a real pool exports to the names
// of its labels.
func exported(t *testing.T) map[string]map[string]bool {
	db := pgtest.Database(t)
	user := db.Role("app")
	db.CreateUser(user, "one")
	store := sourcetest.NewScript()
	store.TTL(time.Hour)
	store.Set(source.Credential{Username: user, Password: source.NewSecret("one")})

	e := newExport(t, otelpool.Options{Generations: true})
	quiet := slog.New(slog.DiscardHandler)
	p, err := pool.Open(t.Context(), db.DSN, store, &pool.Options{
		Logger: quiet, Trace: e.Trace,
		Refresh: &refresh.Options{Name: "orders", Logger: quiet},
	})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	stop, err := e.Register(otelpool.Named("writes", p))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	require.NoError(t, p.Ping(t.Context()))
	store.Fail(errors.New("the store is away"))
	require.Error(t, p.Refresher().Refresh(t.Context()))
	_, ended := e.Trace(t.Context(), "rollover", slog.String("credential", "orders"))
	ended(refresh.ErrClosed)

	series := make(map[string]map[string]bool)
	for _, f := range e.gather() {
		names := map[string]bool{"instance": true, "job": true} // from the scrape
		for _, m := range f.Metric {
			for _, l := range m.Label {
				names[l.GetName()] = true
			}
		}
		series[f.GetName()] = names
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				series[f.GetName()+suffix] = maps.Clone(names)
			}
			series[f.GetName()+"_bucket"]["le"] = true
		}
	}
	return series
}

func TestNamesInUseAreExported(t *testing.T) {
	series := exported(t)
	used := make(map[string]bool)
	check := func(where, expr, text string) {
		t.Helper()
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		require.NoError(t, err, where)
		known := make(map[string]bool)
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			v, ok := n.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			require.Contains(t, series, v.Name, where)
			used[v.Name] = true
			maps.Copy(known, series[v.Name])
			for _, m := range v.LabelMatchers {
				if m.Name != model.MetricNameLabel {
					require.True(t, series[v.Name][m.Name], "%s: %s has no label %s", where, v.Name, m.Name)
				}
			}
			return nil
		})
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.AggregateExpr:
				for _, l := range n.Grouping {
					require.True(t, known[l], "%s: no label %s", where, l)
				}
			case *parser.BinaryExpr:
				if n.VectorMatching != nil {
					for _, l := range n.VectorMatching.MatchingLabels {
						require.True(t, known[l], "%s: no label %s", where, l)
					}
				}
			}
			return nil
		})
		for _, l := range inTemplate.FindAllStringSubmatch(text, -1) {
			require.True(t, known[l[1]], "%s: no label %s", where, l[1])
		}
	}

	groups, errs := rulefmt.ParseFile(alertsFile, false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	alerts := 0
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			alerts++
			require.NotEmpty(t, r.Annotations["summary"], r.Alert)
			require.NotEmpty(t, r.Annotations["description"], "%s says what to do", r.Alert)
			require.Contains(t, []string{"warning", "critical"}, r.Labels["severity"], r.Alert)
			check(r.Alert, r.Expr, r.Annotations["summary"]+r.Annotations["description"])
		}
	}
	require.Positive(t, alerts)

	board := readDashboard(t)
	require.NotEmpty(t, board.Panels)
	for _, p := range board.Panels {
		require.NotEmpty(t, p.Description, p.Title)
		for _, target := range p.Targets {
			check(p.Title, substitute(target.Expr), target.Legend)
		}
	}
	for _, a := range board.Annotations.List {
		check(a.Name, substitute(a.Expr), a.Text)
	}
	for _, v := range board.Templating.List {
		if found := labelValues.FindStringSubmatch(v.Definition); v.Type == "query" {
			require.NotNil(t, found, v.Definition)
			require.Contains(t, series, found[1])
			require.True(t, series[found[1]][found[2]], v.Definition)
		}
	}

	for _, name := range slices.Sorted(maps.Keys(series)) {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_seconds")
		if strings.HasPrefix(name, "rekey_") && !strings.HasSuffix(base, "_duration") {
			require.True(t, used[name], "%s is on no panel and in no rule", name)
		}
	}
}

var (
	inTemplate  = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
	labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)
)

// substitute puts in what Grafana would.
func substitute(expr string) string {
	return strings.NewReplacer("$credential", "orders", "$__rate_interval", "1m").Replace(expr)
}

// A dashboard is what this test reads of Grafana's format.
type dashboard struct {
	Panels []struct {
		ID                 int
		Title, Description string
		GridPos            struct{ X, Y, W, H int }
		Targets            []struct {
			Expr   string
			Legend string `json:"legendFormat"`
		}
	}
	Annotations struct {
		List []struct {
			Name, Expr string
			Text       string `json:"textFormat"`
		}
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

func TestPanelsDoNotOverlap(t *testing.T) {
	taken := make(map[[2]int]string)
	ids := make(map[int]bool)
	for _, p := range readDashboard(t).Panels {
		require.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		g := p.GridPos
		require.LessOrEqual(t, g.X+g.W, 24, p.Title)
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
