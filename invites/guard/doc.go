// Package guard keeps rooms as their policies say: it sets back drifts of the join rule and of power levels, and removes intruders and
// invitations made past the bot.
//
// Load learns at the start which rooms have a guard; Watches is cheap, so all other rooms cost nothing. Refresh is called when the
// policy of a room may have changed, Handle for each state event of a guarded room. Both look at the state, not at the event, so
// doing it again after a crash, or in a different order, is harmless.
//
// The guard acts in the name of the policy's authors: it does nothing beyond the power of an author, and reverts no change by somebody with
// more power than the bot. After a few rounds against the same drift it gives up and calls for help.
//
// A removal is a row like others: recorded, reported, then delivered. Wanted tells delivery whether the row is still to be carried out.
// Reports go through Tell. This package knows no other feature.
package guard
