package room

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Phrase is a sentence without its words: a key and named arguments. Package words has the words for each key, in each
// language. Rows keep phrases as JSON, so the sentence of a row of years ago can still be translated.
//
// A phrase with parts and without a key is its parts, one after the other. The zero value says nothing.
type Phrase struct {
	Key   string            `json:"key,omitempty"`
	Args  map[string]string `json:"args,omitempty"`
	Parts []Phrase          `json:"parts,omitempty"` // phrases within the sentence
}

// maxArgument is the length in bytes to which an argument is kept. Arguments hold text by rooms and by policy lists, and a row
// of each of thousands of people may have one.
const maxArgument = 1000

// Say makes a phrase of a key and of pairs of an argument's name and its value. Values are written as by fmt.Sprint.
func Say(key string, pairs ...any) Phrase {
	p := Phrase{Key: key}
	for i := 0; i+1 < len(pairs); i += 2 {
		p = p.With(fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return p
}

// With sets an argument. It changes the arguments of p.
func (p Phrase) With(name, value string) Phrase {
	if len(value) > maxArgument {
		value = strings.ToValidUTF8(value[:maxArgument], "") + "…"
	}
	value = strings.ToValidUTF8(value, "\uFFFD") // as JSON has it
	if p.Args == nil {
		p.Args = map[string]string{}
	}
	p.Args[name] = value
	return p
}

// Holding returns the phrase with the phrases within its sentence.
func (p Phrase) Holding(parts ...Phrase) Phrase {
	p.Parts = parts
	return p
}

// Sentences makes one phrase of several, without the empty ones.
func Sentences(all ...Phrase) Phrase {
	var said []Phrase
	for _, p := range all {
		if !p.Empty() {
			said = append(said, p)
		}
	}
	if len(said) == 1 {
		return said[0]
	}
	return Phrase{Parts: said}
}

// Empty reports whether the phrase says nothing.
func (p Phrase) Empty() bool { return p.Key == "" && len(p.Parts) == 0 }

// KeyText is the key of a phrase with its words in the argument "text": an old row's, or a person's.
const KeyText = "text"

// String returns the phrase as JSON, as rows keep it; empty where it says nothing.
func (p Phrase) String() string {
	if p.Empty() {
		return ""
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return "" // can't be: strings and maps of strings only
	}
	return string(raw)
}

// ReadPhrase reads a phrase written by String. Any other text, such as a sentence of a row written by an older version, is
// shown as it is.
func ReadPhrase(text string) Phrase {
	var p Phrase
	switch {
	case text == "":
		return p
	case strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &p) == nil && !p.Empty():
		return p
	}
	return Phrase{Key: KeyText, Args: map[string]string{"text": text}}
}
