// Package native judges invitations and joins that the homeserver is about to accept, so that the policy of a room holds for the
// invite button of any client.
//
// A Question is a callback of a homeserver, an Answer the decision. The homeserver performs the change as the sender. So the bot lends
// no power here, and no row is made: the ledger gets the invitation when the room shows it.
//
// A homeserver waits for the answer, in the middle of a request of a user. So the use cases here never wait for a lane, for the queue or for
// the encryption device, and they read the homeserver once at most.
package native
