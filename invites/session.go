package invites

import (
	"time"

	"maunium.net/go/mautrix/id"
)

// SessionKind is the kind of a Session.
type SessionKind string

// The kinds.
const (
	SessionLogin   SessionKind = "login"   // a link that logs in once
	SessionBrowser SessionKind = "browser" // a browser that is logged in
)

// Session is the right of whoever has a secret to use the dashboard in a person's name.
type Session struct {
	Hash      string // of the secret: nobody can use it who reads the store
	Kind      SessionKind
	User      id.UserID
	CreatedAt time.Time
	ExpiresAt time.Time
}
