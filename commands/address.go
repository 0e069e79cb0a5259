package commands

import (
	"strings"
	"unicode"

	"maunium.net/go/mautrix/id"
)

// invocation is a text split into the command's name and its arguments.
type invocation struct {
	name      string
	words     []word
	mentioned bool // by the bot's name, not by the prefix
	spaced    bool // white space stands between the prefix and the name
}

// invoked reads a text. ok is false where it does not address the bot: it begins neither with the prefix nor with the bot's name.
func invoked(text, prefix string, bot id.UserID, names []string) (g invocation, ok bool) {
	text = strings.TrimFunc(text, added)
	if rest, wide := strings.CutPrefix(text, "！"); wide && prefix == "!" {
		text = prefix + rest
	}
	rest, mentioned := afterMention(text, prefix, bot, names)
	if !mentioned {
		var prefixed bool
		if rest, prefixed = strings.CutPrefix(text, prefix); !prefixed {
			return g, false
		}
	}
	return invocationOf(rest, mentioned)
}

// invocationOf reads the text behind the prefix or the bot's name.
func invocationOf(text string, mentioned bool) (g invocation, ok bool) {
	g.mentioned = mentioned
	words := splitWords(text)
	if len(words) == 0 {
		return g, mentioned
	}
	g.spaced = !mentioned && strings.IndexFunc(text, unicode.IsSpace) == 0
	g.name, g.words = commandName(words[0].text), words[1:]
	return g, true
}

// afterMention returns the text behind the bot's name at the start: its user id or a link to it; the prefix or an @ with its localpart; one
// of its names with a colon or a comma and a space.
func afterMention(text, prefix string, bot id.UserID, names []string) (string, bool) {
	words := splitWords(text)
	if len(words) == 0 {
		return "", false
	}
	if words[0].read(bot).user == bot {
		return strings.TrimLeft(strings.TrimPrefix(text, words[0].raw), " \t\n:,"), true
	}
	for _, sign := range []string{prefix, "!", "@"} {
		if rest, ok := afterName(text, sign+bot.Localpart(), false); ok {
			return rest, true
		}
	}
	for _, name := range append([]string{bot.Localpart()}, names...) {
		if rest, ok := afterName(text, name, true); ok && name != "" {
			return rest, true
		}
	}
	return "", false
}

// afterName returns the text behind a name at the start. strict asks for a colon or a comma behind the name.
func afterName(text, name string, strict bool) (rest string, ok bool) {
	if len(text) < len(name) || !strings.EqualFold(text[:len(name)], name) {
		return "", false
	}
	rest = text[len(name):]
	behind := strings.TrimLeft(rest, ":,：，")
	if strict && behind == rest || behind != "" && !unicode.IsSpace([]rune(behind)[0]) {
		return "", false
	}
	return strings.TrimSpace(behind), true
}
