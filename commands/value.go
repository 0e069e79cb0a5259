package commands

import (
	"context"
	"regexp"
	"strings"

	"usher/exactjson"
)

// value reads words as the value of a field. A list may be written in JSON, a length of time with a word for its unit. People and rooms may be
// links, rooms aliases.
func (c *Call) value(ctx context.Context, words []word) (string, error) {
	items, isList := jsonList(words)
	if !isList {
		items = words
	}
	parts := make([]string, len(items))
	for i, w := range items {
		parts[i] = w.text
		r := w.read(c.asker)
		switch {
		case r.class == classPerson && strings.Contains(w.text, ":") && !r.bare && r.wrong.Empty():
			parts[i] = string(r.user)
		case r.class == classRoom && !r.wrong.Empty():
			return "", fault(r.wrong)
		case r.class == classRoom:
			in, _, err := c.resolve(ctx, r.place)
			if err != nil {
				return "", err
			}
			parts[i] = string(in)
		}
	}
	value := strings.Join(parts, " ")
	if m := inWords.FindStringSubmatch(strings.ToLower(value)); m != nil && units[m[2]] != "" {
		value = m[1] + units[m[2]]
	}
	return value, nil
}

// prose reads words as a text of sentences: names in it stay as they were written.
func prose(words []word) string {
	if len(words) == 1 {
		return words[0].text
	}
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = w.raw
	}
	return strings.Join(parts, " ")
}

// inWords is a length of time with a word for its unit.
var inWords = regexp.MustCompile(`^([0-9]+) ?([a-zäé]+)$`)

// units are the letters of units of time, by their words.
var units = map[string]string{
	"s": "s", "sec": "s", "second": "s", "seconds": "s", "sekunden": "s", "m": "m", "min": "m", "minute": "m", "minutes": "m", "minuten": "m",
	"h": "h", "hour": "h", "hours": "h", "stunde": "h", "stunden": "h", "d": "d", "day": "d", "days": "d", "tag": "d", "tage": "d", "w": "w", "week": "w", "weeks": "w",
	"woche": "w", "wochen": "w",
}

// straight writes the quotes of keyboards as JSON has them.
var straight = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`, "‘", `"`, "’", `"`, "'", `"`)

// jsonList reads a list in JSON, also with other quotes than JSON's, or with none.
func jsonList(words []word) (items []word, ok bool) {
	raws := make([]string, len(words))
	for i, w := range words {
		raws[i] = w.raw
	}
	text := straight.Replace(strings.Join(raws, " "))
	inner, opens := strings.CutPrefix(text, "[")
	inner, closes := strings.CutSuffix(inner, "]")
	if !opens || !closes {
		return nil, false
	}
	v, _, isJSON := exactjson.Parse([]byte(text))
	texts, isList := v.Texts()
	if !isJSON || !isList {
		texts = strings.FieldsFunc(inner, func(r rune) bool { return strings.ContainsRune(", \"", r) })
	}
	for _, text := range texts {
		items = append(items, word{text: text, raw: text})
	}
	return items, true
}
