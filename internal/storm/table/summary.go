package table

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rekey-go/rekey/internal/storm/load"
)

// A Summary is what every run ends with. Runs that count more embed it.
type Summary struct {
	Statements     int64   `json:"statements"`
	Failed         int64   `json:"failed"`
	Rotations      int     `json:"rotations"`
	LoginsRejected uint64  `json:"logins_rejected"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	P999           float64 `json:"p999_ms"`
	Max            float64 `json:"max_ms"`
	Login          float64 `json:"login_p50_ms"`
}

// Summary sums up what the clients did through a number of rotations.
func (t *Table) Summary(r load.Report, rotations int) Summary {
	return Summary{
		Statements: r.Statements, Failed: r.Failed, Rotations: rotations, LoginsRejected: t.health().LoginsRejected,
		P50: ms(r.Latency.P50), P99: ms(r.Latency.P99), P999: ms(r.Latency.P999), Max: ms(r.Latency.Max),
		Login: ms(t.Login()),
	}
}

// Print tells people.
func (s Summary) Print(out io.Writer, through string) {
	fmt.Fprintf(out, "\n%d statements, %d failed, through %s\n", s.Statements, s.Failed, through)
	fmt.Fprintf(out, "latency p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, longest %.2f ms; a login takes %.2f ms here\n", s.P50, s.P99, s.P999, s.Max, s.Login)
}

// PrintJSON writes summary, a [Summary] or what embeds one, as one line.
func PrintJSON(out io.Writer, summary any) {
	_ = json.NewEncoder(out).Encode(summary) // standard output that is closed has no reader to miss it
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
