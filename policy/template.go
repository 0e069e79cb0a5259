package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Places of a template.
const (
	placeAsker  = "{asker}"
	placeReason = "{reason}"
)

// maxTemplate is the length of a template in characters.
const maxTemplate = 200

// isTemplate reports whether a text may be the template of the reason of invitations: none, or one short line that names the asker. An invitation never
// hides who asked for it.
func isTemplate(text string) bool {
	return text == "" || strings.Contains(text, placeAsker) && utf8.RuneCountInString(text) <= maxTemplate && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u200d' })
}

// Fill fills the template of the reason of invitations; ok is false without one.
func (i Invitation) Fill(asker, reason string) (text string, ok bool) {
	if i.Reason == "" {
		return "", false
	}
	text = strings.NewReplacer(placeAsker, asker, placeReason, reason).Replace(i.Reason)
	if reason == "" { // what led to it
		text = strings.TrimRight(text, " :,;–—-“„”\"")
	}
	return strings.TrimSpace(text), true
}
