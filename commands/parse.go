package commands

import (
	"context"
	"slices"
	"strings"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// Fault is an error for the sender of the command: its phrase is shown.
type Fault struct{ Phrase room.Phrase }

// Error implements error.
func (f Fault) Error() string { return f.Phrase.String() }

func fault(p room.Phrase) error { return Fault{p} }

// arguments are the form of a command and the words of its parameters.
type arguments struct {
	form   form
	prefix string
	asker  id.UserID         // a name without a server is on the asker's
	words  map[string][]word // by the parameter's key
}

// read reads the arguments, typed or structured.
func (a *arguments) read(g given) error {
	if g.structured != nil {
		return a.take(g.structured)
	}
	return a.parse(g.words)
}

// usage is the fault of a command called wrongly.
func (a *arguments) usage(problem room.Phrase) error {
	if problem.Key == "missing.value" {
		problem = room.Say("missing.value", "prefix", a.prefix)
	}
	return fault(room.Say("usage", "usage", a.form.usage(a.prefix)).Holding(problem))
}

// puzzled is the fault of a word without a parameter.
func (a *arguments) puzzled(word string) error {
	var names []string
	for _, p := range a.form.Parts {
		names = append(names, p.Name)
	}
	return a.usage(room.Sentences(room.Say("usage.word", "word", word), suggest(word, names, "")))
}

// parse gives the words of a typed command to the parameters. Flags stand anywhere. The other parameters take their words in order.
func (a *arguments) parse(words []word) error {
	flags, words := takeFlags(words)
	words, err := a.fill(a.form.Before, words)
	if err != nil {
		return err
	}
	a.form, words = a.form.partOf(words)
	if err := a.setFlags(flags); err != nil {
		return err
	}
	if words, err = a.fill(a.form.after(), words); err != nil {
		return err
	}
	if len(words) > 0 {
		return a.puzzled(words[0].text)
	}
	return nil
}

// setFlags refuses flags of other commands.
func (a *arguments) setFlags(flags []word) error {
	var known []string
	for _, p := range a.form.params() {
		if p.class == classFlag {
			known = append(known, p.Key)
		}
	}
	for _, w := range flags {
		name := w.flag()
		if !slices.Contains(known, name) {
			return a.usage(room.Sentences(room.Say("usage.flag", "flag", name), suggest(name, known, "--")))
		}
		a.words[name] = []word{w}
	}
	return nil
}

// fill gives words to parameters and returns the other words.
func (a *arguments) fill(params []Param, words []word) ([]word, error) {
	for _, p := range params {
		if p.class == classFlag {
			continue
		}
		n := p.takes(words)
		switch {
		case n > 0:
		case p.Optional:
			continue
		case p.class == classRoom && len(words) > 0:
			return nil, noRoom(words[0].text)
		default:
			return nil, a.usage(p.missing)
		}
		if !p.once.Empty() && n < len(words) && p.fits(words[n]) {
			return nil, a.usage(p.once)
		}
		if err := a.set(p, words[:n]); err != nil {
			return nil, err
		}
		words = words[n:]
	}
	return words, nil
}

// set gives a parameter its words, once they are valid.
func (a *arguments) set(p Param, words []word) error {
	switch p.class {
	case classPerson:
		if len(words) > maxTargets {
			return fault(room.Say("many.people", "n", len(words), "most", maxTargets))
		}
		for _, w := range words {
			if _, valid := w.user(a.asker); !valid {
				return fault(room.Say("no.user", "text", w.text))
			}
		}
	case classNumber:
		if _, ok := cardNumbers(words); !ok {
			return fault(room.Say("many.cards", "most", maxCards))
		}
	}
	a.words[p.Key] = words
	return nil
}

func noRoom(text string) error {
	return fault(room.Say("no.room", "text", text))
}

// has reports whether an argument was given.
func (a *arguments) has(key string) bool { return len(a.words[key]) > 0 }

// people are the users in an argument.
func (a *arguments) people(key string) (users []id.UserID) {
	for _, w := range a.words[key] {
		user, _ := w.user(a.asker) // set has validated it
		users = append(users, user)
	}
	return users
}

// person is the user in an argument, empty if none was given.
func (a *arguments) person(key string) id.UserID {
	if users := a.people(key); len(users) > 0 {
		return users[0]
	}
	return ""
}

// text is an argument as it was typed, empty if none was given. A single quoted word loses its quotes. The store keeps a reason for
// each person named, so a long text is cut.
func (a *arguments) text(key string) string {
	words := make([]string, len(a.words[key]))
	for i, w := range a.words[key] {
		words[i] = w.text
	}
	all := strings.ToValidUTF8(strings.Join(words, " "), "")
	if len(all) > maxText {
		all = strings.ToValidUTF8(all[:maxText], "") + "…"
	}
	return all
}

// room resolves the room in an argument to its id and to servers in it. Without the argument it is the current room, unless the current
// room is a direct chat.
func (c *Call) room(ctx context.Context, key string) (id.RoomID, []string, error) {
	if !c.has(key) {
		if c.Chat.Direct(c.Message.Room) {
			return "", nil, c.usage(room.Say("usage.direct"))
		}
		return c.Message.Room, nil, nil
	}
	p, _ := c.words[key][0].place() // its class has been checked
	return c.resolve(ctx, p)
}

// resolve finds the id of a room, and servers in it.
func (c *Call) resolve(ctx context.Context, p place) (id.RoomID, []string, error) {
	if p.alias == "" {
		return p.room, p.via, nil
	}
	r, via, err := c.Requests.Resolve(ctx, p.alias)
	if invites.Refused(err) {
		return "", nil, fault(room.Say("unknown.room", "room", p.alias))
	}
	return r, append(p.via, via...), err
}

// joinedRoom resolves the argument "room". The asker must be in that room.
func (c *Call) joinedRoom(ctx context.Context) (id.RoomID, error) {
	in, _, err := c.room(ctx, "room")
	if err == nil && in != c.Message.Room {
		err = c.Judge.Reach.Member(ctx, in, c.Message.Sender)
	}
	return in, err
}
