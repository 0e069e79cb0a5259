// Package chat is one of the ways in: a message in, a reply out.
//
// The intake (package appservice) commits events to the inbox and pushes them to the Feed, which brings them to the Lanes. A lane runs
// the events of one room in order; commands on different users run side by side. The Handler takes an event of a lane: EncryptedRooms opens
// it, then commands.Runner reads a command and a Call runs it, CardDesk counts a reaction on a card, Confirmer hands a reaction to its command, Memberships takes the bot into rooms
// and out of them, and Rooms follows policies, spaces, the guard and the ledger. Replies sends the answer of a command through
// the Sender, which encrypts it where the room is encrypted. StatusMessages edits the answer while work goes on in the queue.
//
// New builds all of these. Load reads their state from the store, Run runs them, and Stop lets events under way finish.
//
// The package declares its ports, next to their users; package bot passes the implementations. It makes no decision about
// an invitation (package invites) and no sentence (package commands), and it knows neither SQL nor HTTP.
package chat
