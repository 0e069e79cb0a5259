// Package difftest compares package room with two other implementations of the authorization rules, on seeded random
// rooms and actions, and its speed with one of them. It is a module of its own, so that the program depends on neither:
//
//	cd difftest && GOEXPERIMENT=jsonv2 go test ./...
//	cd difftest && GOEXPERIMENT=jsonv2 go test -run '^$' -bench .
//
// (mautrix's eventauth needs the experiment.) More cases, or others: go test -cases 1000000 -seed 7.
//
// Neither library follows the specification everywhere. Each known deviation is listed by name, with what it applies to
// and what the library answers there; where none applies, the library must answer as room does. So a difference that
// nobody explained fails the test, and so does a deviation that has gone.
package difftest
