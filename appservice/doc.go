// Package appservice takes in the transactions of the application service API
// (https://spec.matrix.org/latest/application-service-api/) and commits the events that Usher has to handle to the inbox.
//
// NewIntake makes the handler; Register adds its routes to a mux. A transaction goes through these steps:
//
//   - Intake.transaction reads the body and checks the token (intake.go).
//   - Intake.sort takes the body apart, event by event, with exact keys (decode.go). A malformed event goes to the quarantine and harms
//     no other. For each event, the table of package events says when it is kept (sort.go); addressing recognizes commands
//     (address.go), Cards recognizes votes (cards.go), Pending recognizes the ends of open invitations (pending.go).
//   - The Watcher hears of each change of state, before anything is committed.
//   - Intake.receive commits the events. Transactions that arrive during a commit share the next one (receive.go).
//   - The Sink gets the new events, in order. Then the homeserver gets its 200.
//
// An error before the commit leaves the transaction with the homeserver, which sends it again. The inbox knows each event by its id, so
// an event that comes twice is new once.
//
// Standby is the handler of a process that does not act: it forwards requests to the active process.
//
// The package does not know what becomes of an event: no commands, no store, no homeserver client.
package appservice
