package commands

import (
	"usher/room"
	"usher/words"
)

// said puts a phrase into words.
func said(p room.Phrase) string { return words.For("").Text(p) }
