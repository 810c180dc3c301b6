// Package rotate changes a secret where it is kept and where it is used, in
// steps that can be repeated, resumed and undone:
//
//  1. create the next credential and make it durable in the store as pending;
//  2. set it in the database;
//  3. verify: log in with it and prove the rights that the application needs;
//  4. promote it to current in the store, if nobody else has done so;
//  5. drain: wait until nobody uses the one before;
//  6. retire the one before: disabled first, which can be taken back, then
//     removed.
//
// It is for who runs the rotations: a service, a job on a schedule, a Lambda. Services
// that only follow a secret which somebody else rotates need package refresh, not this.
//
//	target, err := postgres.ParallelRole(&postgres.Config{Admin: admin, Login: login}, "app_owner")
//	r, err := rotate.New(&rotate.Config{
//		Store:    file.New("/srv/secrets/orders.json", nil), // of rotate/file
//		Target:   target,
//		Generate: func() (source.Secret, error) { return generate.Password(nil) },
//		Audit:    rotate.LogTo(slog.Default()),
//	})
//	result, err := r.Rotate(ctx) // or r.Run, on a schedule
//
// A [Store] keeps the versions, a [Target] is the database. Which step breaks
// the current credential depends on the target's strategy, see [Strategy].
// Approval comes before the first of them.
//
// # Crashes
//
// The [Rotator] keeps no notes of its own. Before each step it looks at what the
// store holds, what the database was last set to, and who can log in, and does
// what follows from that. So the next run, of any process, finishes a rotation
// that was broken off anywhere, or undoes it, and a step whose answer was lost
// is found to be done. Locks save work; that two rotators cannot do harm follows
// from the store's compare-and-swap and from the token that the target writes in
// the same transaction as the change.
//
// # Interfaces
//
// Store, Target and the interfaces beside them stay as they are within a major
// version: what a later version can make use of comes as an interface of its own, like
// [Ender], which an implementation may have or not.
package rotate
