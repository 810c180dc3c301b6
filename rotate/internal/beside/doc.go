// Package beside keeps the versions of a secret in two documents, for stores
// that replace a document by compare-and-swap and know nothing of stages.
//
// One is the secret as applications read it. A rotation writes it once, when it
// promotes: user name, password, and the token under [Marker]; everything else
// in it stays. So what applications see changes in one step, and never before.
// The other lies beside it and is for those who rotate: the envelope with the
// pending version, what was current, and what was before that.
//
// Which version is current is decided by the secret alone. The envelope may be
// behind it, after a crash or an operator's write, and is read accordingly: if
// the secret holds what the envelope calls pending, it has been promoted.
package beside
