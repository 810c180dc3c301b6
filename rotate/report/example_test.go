package report_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/report"
	"github.com/rekey-go/rekey/rotate/schedule"
)

// orders stands for a *rotate.Rotator.
type orders struct{}

func (orders) Status(context.Context) (rotate.Status, error) {
	return rotate.Status{
		Secret: "orders", Strategy: rotate.Strategy{Name: "parallel role"},
		Current: &rotate.Info{Token: "6f2c", User: "app", Accepted: true}, Rotated: time.Now().Add(-100 * 24 * time.Hour),
		Consumers: []rotate.Consumer{{Application: "api", Expected: true, Sessions: 8}},
	}, nil
}

// What has to be done is in the report's lines.
func ExampleMake() {
	quarter, err := schedule.Every(90*24*time.Hour, 0, "orders")
	if err != nil {
		log.Fatal(err)
	}
	var tally report.Tally // its Audit goes into the rotator's configuration
	tally.Audit(rotate.Event{Secret: "orders", Step: rotate.StepSet, Outcome: rotate.OutcomeFailed, Class: "conflict"})
	r := report.Make(context.Background(), &tally, []report.Watched{{Name: "orders", Rotator: orders{}, Schedule: quarter}})
	for _, s := range r.Secrets {
		fmt.Println(s.Name, "is used by", s.Consumers[0].Application, "and overdue:", s.Due.Before(time.Now()), s.Classes)
	}
	// Output: orders is used by api and overdue: true map[conflict:1]
}

// A report each morning, until the service ends.
func ExampleDaily() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	at := schedule.Func(func(_, now time.Time) time.Time { return now }) // in life, schedule.Cron("0 7 * * *", time.Local)
	watched := []report.Watched{{Name: "orders", Rotator: orders{}}}
	err := report.Daily(ctx, at, nil, watched, func(_ context.Context, r report.Report) error {
		fmt.Println(r.Secrets[0].Name, r.Secrets[0].Consumers[0].Sessions) // in life, mail r.String()
		cancel()
		return nil
	})
	fmt.Println(err)
	// Output:
	// orders 8
	// context canceled
}
