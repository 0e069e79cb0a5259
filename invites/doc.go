// Package invites holds the nouns of the domain, and decides nothing.
//
// A Change is an intended membership change: somebody asked for it, it is judged, recorded as a row, carried out and settled. Its
// Origin says where it came from, its Request which rows belong together. An Invitation was seen in a room, made through the
// bot or not. A Card is a question put to a vote. Received is an event of the inbox, Audit one line of the record of decisions
// and effects.
//
// The packages below this one do the work, each with its own small ports:
//
//   - judge gathers the facts of a decision, and decides
//   - delivery claims rows, decides again, acts and settles them
//   - cards, guard and ledger are one feature each
//   - requests turns a wish into rows
//
// The errors of all ports are here, too. Ask about an error by the functions Refused, Unseen, Limited and so on; only the packages
// calling the homeserver make an ActError.
//
// This package knows no store, no homeserver and no sentence. It imports room, for the names of actions.
package invites
