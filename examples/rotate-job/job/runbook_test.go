package job_test

import (
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/postgres"
)

var update = flag.Bool("update", false, "write the outputs that docs/runbook.md shows anew")

const runbook = "../../../docs/runbook.md"

// What the runbook shows is what the command prints against a real server, but for
// times, tokens and durations.
func TestRunbookShowsWhatIsPrinted(t *testing.T) {
	shown := &shown{blocks: make(map[string]string)}
	t.Run("scenes", func(t *testing.T) {
		for name, scene := range map[string]func(*scene){
			"a good day": goodDay, "single user": singleUser, "denied": denied, "mismatch": mismatch,
			"undrained": undrained, "running": running, "unfit": unfit, "timeout": timeout, "revoked": revoked,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				s.shown = shown
				scene(s)
			})
		}
	})
	if t.Failed() {
		return
	}
	text, err := os.ReadFile(runbook)
	require.NoError(t, err)
	page := string(text)
	for _, name := range slices.Sorted(maps.Keys(shown.blocks)) {
		mark := "<!-- " + name + " -->\n```text\n"
		require.Equal(t, 1, strings.Count(page, mark), "the page has no place for %q", name)
		before, rest, _ := strings.Cut(page, mark)
		old, after, found := strings.Cut(rest, "```\n")
		require.True(t, found)
		if !*update {
			require.Equal(t, old, shown.blocks[name], "go test ./examples/rotate-job/job -run Runbook -update")
		}
		page = before + mark + shown.blocks[name] + "```\n" + after
	}
	require.Equal(t, len(shown.blocks), strings.Count(page, "-->\n```text\n"), "the page shows what nobody prints")
	if *update {
		require.NoError(t, os.WriteFile(runbook, []byte(page), 0o644))
	}
}

// shown are the blocks of the page.
type shown struct {
	mu     sync.Mutex
	blocks map[string]string
}

// show runs a command and keeps what it prints for the page.
func (s *scene) show(name string, want int, args ...string) {
	s.t.Helper()
	exit, stdout, stderr := s.do(args...)
	require.Equal(s.t, want, exit)
	text := "$ rotate-job " + strings.Join(args, " ") + "\n" + strings.TrimLeft(stderr, "\n") + stdout
	if want != 0 {
		text += fmt.Sprintf("(exit code %d)\n", want)
	}
	s.shown.mu.Lock()
	defer s.shown.mu.Unlock()
	s.shown.blocks[name] = s.normal(text)
	if name != "run" { // which shows whole lines
		s.shown.blocks[name] = short(s.shown.blocks[name])
	}
}

// logged has steps logged to standard error instead of a file.
func (s *scene) logged() {
	text := s.yaml.String()
	_, rest, _ := strings.Cut(text, "\n")
	s.yaml.Reset()
	s.yaml.WriteString("# no audit file\n" + rest)
}

var (
	tokens  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times   = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?( UTC|Z|[+-]\d\d:\d\d)`)
	hashes  = regexp.MustCompile(`_owner_[0-9a-f]{8}\b`)
	took    = regexp.MustCompile(`took=\S+`)
	seconds = regexp.MustCompile(`in \d+\.\d s`)
	spans   = regexp.MustCompile(`\d+ (s|min) ago|the first for \d+ (s|min)`)
	days    = regexp.MustCompile(`in \d+ d\b`)
	hosts   = regexp.MustCompile(`host=\S+`)
)

// normal writes what differs from run to run as on one night in March.
func (s *scene) normal(text string) string {
	for _, r := range []struct{ from, to string }{{s.dir, "/srv/secrets"}, {s.db.Role(""), ""}} {
		text = strings.ReplaceAll(text, r.from, r.to)
	}
	var seen []string
	text = tokens.ReplaceAllStringFunc(text, func(token string) string {
		if !slices.Contains(seen, token) {
			seen = append(seen, token)
		}
		n := slices.Index(seen, token) + 1
		return fmt.Sprintf("%[1]d%[1]d%[1]d%[1]d%[1]d%[1]d%[1]d%[1]d-0000-4000-8000-000000000000", n)
	})
	text = times.ReplaceAllStringFunc(text, night)
	for _, r := range []struct {
		find *regexp.Regexp
		to   string
	}{
		{hashes, "_owner_5c999efd"}, {took, "took=12ms"}, {seconds, "in 0.1 s"}, {days, "in 84 d"}, {hosts, "host=worker-1"},
	} {
		text = r.find.ReplaceAllString(text, r.to)
	}
	return spans.ReplaceAllStringFunc(text, func(span string) string {
		if strings.HasSuffix(span, "ago") {
			return "1 s ago"
		}
		return "the first for 1 s"
	})
}

var (
	begun = regexp.MustCompile(`(?m)^time=.* begun".*\n`)
	same  = regexp.MustCompile(`(?m)^time=\S+ (level=\w+ msg="rekey: [^"]*") secret=\S+ rotation=\S+ strategy="[^"]*" from=\S+ to=\S+`)
)

// short leaves out what is the same in each line, as the page says.
func short(text string) string {
	return same.ReplaceAllString(begun.ReplaceAllString(text, ""), "… $1 …")
}

// night keeps how a time is written, and about how far away it is.
func night(text string) string {
	layouts := []string{time.RFC3339Nano, "2006-01-02 15:04:05 MST", "2006-01-02 15:04 MST"}
	for i, layout := range layouts {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		now := time.Date(2026, 3, 1, 2, 15, 0, 0, time.UTC)
		switch away := time.Until(at); {
		case away > 30*24*time.Hour:
			now = now.AddDate(0, 0, 84)
		case away > 36*time.Hour:
			now = now.AddDate(0, 0, 3)
		case away > 12*time.Hour:
			now = now.AddDate(0, 0, 1)
		case away < -12*time.Hour:
			now = now.AddDate(0, 0, -1)
		}
		return now.Format(append([]string{time.RFC3339}, layouts[1:]...)[i])
	}
	return text
}

func goodDay(s *scene) {
	s.secret("orders", "parallel role", "approve: true", "consumers: [api]")
	s.logged()
	s.show("plan", 0, "plan")
	s.show("rehearse", 0, "rehearse", "-by=alice")
	s.show("waiting", 3, "run", "-by=timer")
	rotation := s.pending("orders")
	s.show("approve", 0, "approve", rotation, "-by=bob")
	s.show("run", 0, "run", "-by=timer")
	s.show("not due", 0, "run", "-by=timer")
	s.show("status", 0, "status")
}

func singleUser(s *scene) {
	s.secret("orders", "single user")
	s.must("run", "-by=timer")
	s.stdin = "orders\n"
	s.show("rollback", 0, "rollback", "orders", "-by=alice", "-reason=errors-in-checkout")
	s.must("run", "-by=timer")
	s.show("history", 0, "history")
	s.show("report", 0, "report")
}

func denied(s *scene) {
	s.secret("orders", "parallel role", "approve: true")
	s.logged()
	s.do("run", "-by=timer")
	s.must("approve", s.pending("orders"), "-deny", "-by=bob", "-reason=a sale is on")
	s.show("denied", 3, "run", "-by=timer")
}

func mismatch(s *scene) {
	s.secret("orders", "single user")
	s.logged()
	s.db.SetPassword(s.db.Role("orders"), "by hand")
	s.show("mismatch", 5, "run", "-by=timer")
}

func undrained(s *scene) {
	s.secret("orders", "parallel role", "drain: 5s")
	s.logged()
	held := s.login("orders")
	defer held.Close(s.t.Context())
	s.show("undrained", 6, "run", "-by=timer")
}

func running(s *scene) {
	s.secret("orders", "single user")
	s.logged()
	unlock, err := postgres.Lock(s.config(), "orders")(s.t.Context())
	require.NoError(s.t, err)
	defer unlock()
	s.show("running", 4, "run", "-by=timer")
}

func unfit(s *scene) {
	s.secret("orders", "parallel role")
	s.logged()
	text := strings.Replace(s.yaml.String(), "select id from orders", "select id from invoices", 1)
	s.yaml.Reset()
	s.yaml.WriteString(text)
	s.show("unfit", 7, "run", "-by=timer")
}

// timeout asks a server that takes connections and says nothing.
func timeout(s *scene) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	defer silent.Close()
	s.db.DSN = "postgres://" + silent.Addr().String() + "/orders?connect_timeout=1&sslmode=disable"
	s.secret("orders", "single user")
	s.logged()
	s.show("timeout", 1, "run", "-by=timer")
}

func revoked(s *scene) {
	s.secret("orders", "parallel role", "approve: true")
	s.logged()
	held := s.login("orders")
	defer held.Close(s.t.Context())
	s.show("revoke", 0, "revoke", "orders", "-by=dora", "-reason=in-a-ticket", "-yes")
}
