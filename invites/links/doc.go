// Package links keeps invite links: who may make, see and revoke them, what their pages may tell, and whether they work.
//
// A link lends nothing. It belongs to its maker, and each use is an invitation in the maker's name: package requests takes a use by Take and
// records the rows, which are judged at that moment like any wish of the maker. Where the maker may not invite any more, the link is dead.
//
// Secrets (secret.go) are shown once. The store has their hashes, and public keys for the codes of knocks. A link may have several
// secrets, which all end with it.
//
// Each read takes the asker and checks whether they may know. ByPage, State, Rooms and Follow serve the page, for anybody with the secret; they
// change nothing.
package links
