package judge

import (
	"context"

	"maunium.net/go/mautrix/id"
)

// Language returns the tag of the language that the bot speaks in a room: the one of the policy in force, or else the default one. It never fails,
// since a notice in another language is better than none.
func (s *Policies) Language(ctx context.Context, r id.RoomID) string {
	if p, err := s.Of(ctx, r, s.self.Bot); err == nil && p != nil && p.Document.Language != "" {
		return p.Document.Language
	}
	return s.self.Language
}
