// Package faults has the network and servers fail under clients that never stop
// and says of each failed statement whether the outage excuses it: only one of a
// session or a login that the outage broke is. Its own tests fail PostgreSQL
// during rollovers; internal/soak has everything fail for longer.
package faults
