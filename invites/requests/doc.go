// Package requests turns a wish into rows: the use cases for changing memberships and policies.
//
// Ask decides on every target of a Request, records the rows with their audit and quotas in one commit, delivers the first few at once and
// leaves the others to the queue. Asked again for the same request, as after a crash, it goes on where it was. DryRun decides only, for
// !why and --dry-run, by the same decision. Progress reads the rows of a request.
//
// Editor reads and writes a room's own policy, for users with the power level to send it, and tells its history.
//
// The actor's rights are judged here and again at each attempt; a caller need not check anything, but has to vouch for the actor: the
// verified sender of an event. Every way in (chat, pages, plans) calls this package and never the store.
package requests
