package appservice

import "time"

// Counters is told what happens, for metrics. Its methods are called on hot paths and must not block.
type Counters interface {
	// Transaction counts one transaction as answered: HTTP status, number of events in it, size of its body in bytes.
	Transaction(status, events, bytes int, took time.Duration)
	// Event counts events by what became of them; kind is one of the Kind constants.
	Event(kind string, n int)
}

// What became of an event that a transaction brought.
const (
	KindIgnored     = "ignored"     // nobody's business here
	KindState       = "state"       // told to the cache
	KindCommand     = "command"     // kept in the inbox
	KindLife        = "life"        // the bot's own membership, a tombstone or a knock: kept in the inbox
	KindRedaction   = "redaction"   // may take back a command
	KindVote        = "vote"        // a reaction on an open card: kept in the inbox
	KindEncrypted   = "encrypted"   // kept in the inbox, to be decrypted
	KindUndecodable = "undecodable" // quarantined
)

// nobody counts nothing.
type nobody struct{}

func (nobody) Transaction(int, int, int, time.Duration) {}
func (nobody) Event(string, int)                        {}
