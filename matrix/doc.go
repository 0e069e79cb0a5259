// Package matrix is the homeserver: it takes the transactions in (Intake), shows the rooms' state (State) and makes
// changes (Client). It is the only package that knows the client library, and the only one that talks to a homeserver.
package matrix
