package commands

import (
	"usher/room"
	"usher/words"
)

// said puts a phrase into words.
func said(p room.Phrase) string { return words.For("en").Text(p) }

// told puts into words what a row keeps: a phrase, or a sentence that an older version wrote.
func told(kept string) string { return said(room.ReadPhrase(kept)) }
