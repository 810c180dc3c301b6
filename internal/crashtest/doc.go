// Package crashtest kills rotations and looks whether they can be trusted
// afterwards, on real databases and stores. All of it is tests.
//
// A case is a process that rotates a secret of its own, or rolls it back, and is
// killed (SIGKILL) at one point: when a request is done and its answer not
// read, between two system calls, or after a step. Then the database and the
// store are looked at, and other processes have to finish the rotation or undo
// it; some of them are killed, too. The matrix is every point × what the process
// was doing × target × store:
//
//	make crash                     # all of it; prints its size
//	go -C internal/crashtest test  # a sample, another one each time
//
// REKEY_CRASH_SEED repeats a sample. Besides, processes are killed while they wait
// for open sessions, and two rotators of one secret are interleaved call by call, in
// a model thousands of times and on the real parts.
package crashtest
