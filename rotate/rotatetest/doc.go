// Package rotatetest holds what package rotate builds on against its rules:
// [Store] any [rotate.Store]. Import it from tests only, and run them with the
// race detector on.
package rotatetest
