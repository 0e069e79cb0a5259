// Package invites is the domain: an invitation's life from the request to the outcome, the use cases, and the ports
// (Store, Homeserver, Clock, Queue) that the world is reached through.
package invites
