// Package judge decides: whether an actor may make a change, and whether the performer can send it.
//
// A Judge gathers the facts of a decision and hands them to package policy, which decides. Decide answers one question,
// Each many of one request. Every way in uses the same decision: the act, !why, --dry-run, the guard and later a link's page.
//
// The gathering parts are types of their own, since other packages need some of them alone:
//
//   - Policies reads the policy in force: the room's own and the policies of the spaces above it
//   - History follows member events back: how long a user has been here, when they left
//   - Lists looks users up in the policy lists of a policy
//   - Reach tells which rooms a policy may name, and which users may ask about a room
//
// A Reader carries the quotas read for one request, so its decisions agree, and the user for the view where
// the bot sees nothing.
//
// A fact out of sight is unknown, which is no permission. An error means: the homeserver or the store does not answer. This package
// changes nothing, neither in a room nor in the store, and knows no rows, cards or commands.
package judge
