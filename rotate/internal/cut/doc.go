// Package cut breaks what stores and targets send, as the harnesses of package
// rotatetest ask for it: [Wire] the requests of a store over HTTP, [Transport] those
// of a target, [Line] the sessions of a target with a database.
package cut
