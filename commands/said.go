package commands

import (
	"usher/room"
	"usher/words"
)

// said puts a phrase into words where no message is rendered: in pictures.
func said(p room.Phrase) string { return words.For("").Text(p) }
