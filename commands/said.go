package commands

import (
	"usher/room"
	"usher/words"
)

// said puts a phrase into words.
func said(p room.Phrase) string { return words.For("en").Text(p) }

// told puts the text of a row into words: a phrase, or a sentence by an older version.
func told(kept string) string { return said(room.ReadPhrase(kept)) }

// lower makes a sentence the continuation of another, save where it begins with "I".
func lower(s string) string {
	if len(s) < 2 || s[:2] == "I " || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]|0x20) + s[1:]
}
