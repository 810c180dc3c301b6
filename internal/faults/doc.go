// Package faults has the network and the server fail during rollovers: toxiproxy
// slows, cuts and resets connections to a real PostgreSQL, or that is restarted,
// while clients never stop and credentials are rotated all the time. A statement
// may fail only of a session or a login that the outage broke; its tests know
// which one each statement used.
package faults
