// Package homeserver calls the client-server API. With package encryption, which has the bot's device, it is the only one that does.
//
// Client makes single requests, as the bot or as an asserted local user. It tries each once; a failed request returns an
// invites.ActError, whose class says whether to try again, and when. Client also knows whether the homeserver takes the tokens
// (standing.go): while it refuses one, no request is made with it.
//
// State is the cache of room state. It implements invites.Homeserver:
//
//	snap, err := state.Snapshot(ctx, room, "", policy.Needs(question), false) // the keys that a decision reads, no others
//	err = state.Act(ctx, effect)                                               // a membership change
//
// The cache holds the state that was asked for lately, never a room's whole state. The intake calls Changed, Invalidate and Forget for
// each event of the stream, before the transaction is answered; the next snapshot fetches what they dropped. A fetch that is under
// way while its key is dropped serves the callers that wait for it already, and its result is not kept.
//
// State that is not cached is read by records (records.go); members.go has all that lists or counts members, collect.go the state of
// policy lists, which is read once and followed by its changes, spaces.go the spaces that claim a room.
//
// The package makes no decisions, and knows neither commands nor the store.
package homeserver
