// Package plan is declarative membership: a wish says who is in which room and with what power, and the difference between the wish and
// the rooms becomes requests.
//
// A Wish is what a file wants, with its sources read; package plan/source reads it. Planner.Compare makes the Difference and changes nothing.
// Service runs in the active process: it takes wishes by HTTP (usher plan, usher apply) and from the configured files (sync), asks the brakes,
// and records a run before anything is done. A run is a list of steps that does not change any more. Its memberships are rows of the origin
// plan, which delivery judges again and carries out once; its power levels are written here. After a crash a run goes on where it was.
//
// Who may: the room's policy names the plan (plan.allow). A plan acts in the name of the bot, and then only within the power of the author
// of that field, or in the name of a manager whom the operator allows, and then only within the manager's own power.
package plan
