// Package ledger answers questions about the invitations seen in rooms, made through the bot or not, and lets old ones expire.
//
// A Ledger reads: open invitations, a user's past, the tree of inviters and invited users, counts by week, the audit. Each read takes the
// asker and checks whether they may know: members of the room may, the audit is for those with the power to kick. The errors are
// ErrNotJoined and ErrKickPower of judge. So every way in is equally safe.
//
// Expiries withdraws invitations without an answer in time, as the room's policy says, and finds the invitations of which inviters are to
// be reminded. Expire records rows, which delivery carries out; Wanted tells delivery whether a row is still to be. Expiries reads without
// an asker: it serves the sweep.
//
// The store fills the ledger from the member events committed by the intake. This package knows no other feature.
package ledger
