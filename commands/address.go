package commands

import (
	"strings"
	"unicode"

	"maunium.net/go/mautrix/id"
)

// invocation splits a text into the command's name and its arguments. ok is false where the bot is not addressed: the text
// begins neither with the prefix nor with the bot's name.
func invocation(text, prefix string, bot id.UserID, names []string) (name string, args []word, mentioned, ok bool) {
	text = strings.TrimSpace(text)
	rest, found := strings.CutPrefix(text, prefix)
	if !found {
		rest, found = afterMention(text, bot, names)
		mentioned = true
	}
	if !found || rest == "" {
		return "", nil, mentioned, found && mentioned
	}
	words := splitWords(rest)
	if len(words) == 0 || (!mentioned && unicode.IsSpace([]rune(rest)[0])) {
		return "", nil, mentioned, mentioned
	}
	return strings.ToLower(words[0].text), words[1:], mentioned, true
}

// afterMention returns the text behind the bot's name at the start: its user id or a link to it, or one of its names
// with a colon or a comma and a space.
func afterMention(text string, bot id.UserID, names []string) (string, bool) {
	words := splitWords(text)
	if len(words) == 0 {
		return "", false
	}
	if words[0].read(bot).user == bot {
		rest := strings.TrimPrefix(text, words[0].raw)
		return strings.TrimLeft(rest, " \t\n:,"), true
	}
	for _, name := range append([]string{"@" + bot.Localpart(), bot.Localpart()}, names...) {
		if name == "" || len(text) <= len(name) || !strings.EqualFold(text[:len(name)], name) {
			continue
		}
		rest := text[len(name):]
		if (rest[0] == ':' || rest[0] == ',') && (len(rest) == 1 || unicode.IsSpace(rune(rest[1]))) {
			return strings.TrimLeft(rest, " \t\n:,"), true
		}
	}
	return "", false
}
