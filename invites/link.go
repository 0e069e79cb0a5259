package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// LinkRequest begins the requests of uses of links.
const LinkRequest = "link:"

// Link is an invite link. Each use is a Change in the name of its maker.
type Link struct {
	ID        int64
	Maker     id.UserID
	Rooms     []id.RoomID // each user of the link is invited to all of them
	MaxUses   int64       // 0: any number
	Used      int64       // uses so far
	Approve   bool        // each use is put to a vote
	Shows     []string    // what its page shows of the rooms: ShowName and so on
	Welcome   string      // on the page and in the invitation
	Note      string      // for the maker
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	EndedAt   time.Time // revoked; zero: not
	EndedBy   id.UserID
}

// The facts of a room which the page of a link may show.
const (
	ShowName    = "name"
	ShowTopic   = "topic"
	ShowPicture = "picture"
	ShowMembers = "members"
)

// LinkSecret is one secret of a link as the store keeps it: nobody can use it who reads the store.
type LinkSecret struct {
	Page  string // hash of the secret in the address of the page
	Code  string // hash of the code for direct chats
	Knock string // public key for the codes of knocks
}

// LinkUse is the use of a link by one user. A user uses a link once.
type LinkUse struct {
	ID     int64
	Link   int64
	Target id.UserID
	Ticket string // names the use in the address of its page
	Number int64  // 1 for the first use of the link
	At     time.Time
}

// LinkQuery selects links. An empty field selects all.
type LinkQuery struct {
	Maker id.UserID
	Room  id.RoomID
	Now   time.Time // only links neither revoked nor expired by then
	Limit int
}

// Reason codes of links.
const (
	CodeLinkApproval = "link.approval" // the maker of the link wants a vote on each use
	CodeLinkRevoked  = "link.revoked"
	CodeLinkExpired  = "link.expired"
	CodeLinkUsedUp   = "link.used_up"
	CodeLinkUnknown  = "link.unknown" // no such link, or one ended long ago
)
