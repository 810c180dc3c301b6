package schedule_test

import (
	"fmt"
	"time"

	"github.com/rekey-go/rekey/rotate/schedule"
)

func ExampleEvery() {
	s, err := schedule.Every(90*24*time.Hour, 0, "orders/database")
	last := time.Date(2026, 1, 10, 9, 0, 0, 0, time.UTC)
	fmt.Println(s.Next(last, last.Add(time.Hour)), err)
	overdue := last.AddDate(1, 0, 0)
	fmt.Println(s.Next(last, overdue).Equal(overdue))
	// Output:
	// 2026-04-10 09:00:00 +0000 UTC <nil>
	// true
}

func ExampleCron() {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	s, err := schedule.Cron("30 2 * * SUN", berlin)
	last := time.Date(2026, 3, 25, 12, 0, 0, 0, berlin)
	// On that Sunday clocks go from two to three.
	fmt.Println(s.Next(last, last), err)

	_, err = schedule.Cron("0 0 30 2 *", berlin)
	fmt.Println(err)
	// Output:
	// 2026-03-29 03:00:00 +0200 CEST <nil>
	// schedule: expression "0 0 30 2 *" is never due: there is no such day
}

func ExampleWithin() {
	newYork, _ := time.LoadLocation("America/New_York")
	monthly, _ := schedule.Every(30*24*time.Hour, 24*time.Hour, "orders/database")
	s, err := schedule.Within(monthly,
		schedule.Window{Days: []time.Weekday{time.Tuesday, time.Thursday}, Start: 22 * time.Hour, End: 4 * time.Hour, Zone: newYork})
	last := time.Date(2026, 6, 1, 12, 0, 0, 0, newYork)
	fmt.Println(s.Next(last, last), err) // the 30th of June is a Tuesday
	// Output: 2026-06-30 22:00:00 -0400 EDT <nil>
}

func ExampleBeforeExpiry() {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // such as NotBefore and NotAfter of a certificate
	to := from.AddDate(0, 0, 90)
	s, err := schedule.BeforeExpiry(func() time.Time { return to }, schedule.Renewal(from, to))
	fmt.Println(s.Next(from, from), err)
	// Output: 2026-03-02 00:00:00 +0000 UTC <nil>
}

func ExampleFor() {
	s, err := schedule.For(schedule.DatabasePassword, "orders/database")
	last := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	days := s.Next(last, last).Sub(last).Hours() / 24
	fmt.Println(days > 81 && days <= 90, err)
	// Output: true <nil>
}

func ExampleValidate() {
	fmt.Println(schedule.Validate(24*time.Hour, time.Hour, time.Minute))
	fmt.Println(schedule.Validate(30*time.Minute, time.Hour, time.Minute))
	// Output:
	// <nil>
	// schedule: the interval of 30m0s between rotations must be longer than the 1h0m0s that connections live and the 1m0s of propagation together (1h1m0s): let connections live for less than 29m0s, or rotate less often
}

func ExampleShortest() {
	s, _ := schedule.Cron("0 3 1,15 * *", nil)
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fmt.Println(schedule.Shortest(s, from, 24))
	// Output: 336h0m0s
}
