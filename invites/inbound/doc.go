// Package inbound protects the users of the homeserver from invitation spam, in all their rooms and clients. The policy is the
// operator's.
//
// The homeserver asks about each invitation to one of its users. Inbound counts how many different local users one sender, one room and one
// server invite within a time, and refuses what is beyond the limits. A server whose invitations are refused again and again is blocked for a
// day: its breaker. People who share a room with the invitee as far as the ledger shows, and people whom the invitee expects, are exempt
// from limits and breakers. Policy lists, servers named by an IP address and rooms without a create event are refused to all.
//
// The counts are in memory, bounded, and begin anew with the process. Blocked servers, expected people and known senders are in the store.
package inbound
