// Package homeserver is the client-server API: the client, the cache of room state, changes of membership, and the classes
// of errors.
package homeserver
