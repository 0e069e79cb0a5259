package invites

import "time"

// InboundKind is the kind of an entry about invitations to local users.
type InboundKind string

// The kinds.
const (
	InboundBlocked  InboundKind = "blocked"  // a server may not invite
	InboundExpected InboundKind = "expected" // a local user expects another user's invitations
	InboundKnown    InboundKind = "known"    // a sender was seen
	InboundInvited  InboundKind = "invited"  // a sender's invitation was let through, a while ago
)

// InboundEntry is one entry about invitations to local users.
type InboundEntry struct {
	Who, Other string
	Until      time.Time
}
