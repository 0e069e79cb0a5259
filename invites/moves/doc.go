// Package moves takes rooms and their members along when a room is replaced by another one.
//
// Begin records an upgrade that the bot saw, once both rooms say so: the tombstone of the old room, and the create event of the new one. Run
// does the steps of an upgrade that are due, from the table in steps.go, and keeps after each how far it came. A step done twice has the
// effect of one, so a crash costs nothing.
//
// Each step is judged for the actor of the upgrade: the user who asked the bot for it, or else the sender of the tombstone. The bot does nothing
// that they could not do: where it acts itself, since it may not act for them, both need the power. So a tombstone that leads to a stranger's room takes
// nothing there that its sender could not take. Policies and links of other rooms that name the old room are changed by their own admins: a
// card asks them, and the voter is the actor (Confirmed).
//
// Policies themselves are carried over by requests.Editor.
//
// Movers serves !move: it orders the members of an old room, counts who came, and makes the one reminder. The invitations are a request for many
// people, of package requests, in the name of the user who asks.
package moves
