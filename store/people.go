package store

import (
	"context"

	"maunium.net/go/mautrix/id"
)

const (
	selectLanguage = `SELECT language FROM person WHERE user_id = $1`
	upsertLanguage = `INSERT INTO person (user_id, language) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET language = excluded.language`
)

// Language returns the language that a person chose, or ErrNotFound.
func (s People) Language(ctx context.Context, user id.UserID) (string, error) {
	return one(ctx, s.db, value[string], selectLanguage, user)
}

// SetLanguage keeps the language that a person chose.
func (s People) SetLanguage(ctx context.Context, user id.UserID, language string) error {
	_, err := s.change(ctx, upsertLanguage, user, language)
	return err
}
