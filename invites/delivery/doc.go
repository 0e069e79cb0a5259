// Package delivery carries out recorded rows: it claims them, decides again by the current state, acts as the performer, and settles
// them with their audit.
//
// Deliver is for the queue, which wakes rows by their keys: now, later, and again after a crash. Now is for a command waiting for the
// first few of its rows. Both may be called at any time and in any number: only one attempt gets the lease of a claim, and a
// settlement names its attempt.
//
// The table of origins (originOf) says how rows of each origin differ: which of them may be taken back, which are checked before each
// attempt, which were charged to quotas, which are told of. A feature with rows of its own adds an origin there, and an entry in
// Checks if its rows can become unwanted. bot fills Checks and Approvals, since delivery knows no feature.
//
// The pacer keeps rows waiting for the same rate limit of the homeserver from asking all at once.
//
// An outcome is final, or says when to try again; an error is the store's. This package makes no rows, but for automatic joins.
package delivery
