// Package judge decides: whether an actor may make a change, and whether the performer can send it.
//
// A Judge gathers the facts that a decision depends on and hands them to package policy, which decides. Decide answers one question,
// Each many of one request. Every way in uses the same decision: the act, !why, --dry-run, the guard and later a link's page.
//
// The parts that gather are types of their own, since other packages need some of them alone:
//
//   - Policies reads the policy in force: the room's own and the policies of the spaces above it
//   - History follows member events back: how long a user has been here, when they left
//   - Lists looks users up in the policy lists that a policy names
//   - Reach tells which rooms a policy may name, and which users may ask about a room
//
// A Reader carries the quotas that were read for one request, so that its decisions agree, and the user whose view is used where
// the bot sees nothing.
//
// What can't be seen is unknown, which is no permission. An error says that the homeserver or the store does not answer. This package
// changes nothing, neither in a room nor in the store, and knows no rows, cards or commands.
package judge
