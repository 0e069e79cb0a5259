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
	form    form
	prefix  string
	asker   id.UserID            // a name without a server is on the asker's
	words   map[string][]word    // by the parameter's key
	known   func(string) bool    // whether a word names a command
	reply   bool                 // the command replies to a message
	listed  bool                 // its people stand in a list somewhere else, so it need not name any
	data    bool                 // they came as data, not as text
	help    bool                 // a flag asks for help
	persons map[string]id.UserID // the people of names

	strangers map[string]error // the refusals of names that nobody has, where addresses count as well
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
func (a *arguments) puzzled(w word) error {
	var names []string
	for _, p := range a.form.Parts {
		names = append(names, p.Name)
	}
	for _, p := range a.form.params() {
		names = append(names, p.choices...)
	}
	word := w.text
	if r := w.read(a.asker); !r.wrong.Empty() {
		return a.usage(r.wrong)
	}
	return a.usage(room.Sentences(room.Say("usage.word", "word", word), suggest(word, names, "")))
}

// parse gives the words of a typed command to the parameters. Flags stand anywhere, and so does the room of a command without free text. The
// other parameters take their words in order.
func (a *arguments) parse(words []word) error {
	options, words, err := a.takeOptions(words)
	if err != nil {
		return err
	}
	flags, words := takeFlags(words)
	words, err = a.fill(a.form.Before, words)
	if err != nil {
		return err
	}
	a.form, words = a.part(words)
	if err := a.oneCommand(words); err != nil {
		return err
	}
	if err := a.setFlags(flags); err != nil || a.help {
		return err
	}
	if err := a.setOptions(options); err != nil {
		return err
	}
	if words, err = a.pullRoom(words); err != nil {
		return err
	}
	if words, err = a.fill(a.form.after(), words); err != nil {
		return err
	}
	if slices.ContainsFunc(words, func(w word) bool { return !w.is(polite) }) {
		return a.puzzled(words[0])
	}
	return nil
}

// part finds the part of the command by the first words, also behind a room.
func (a *arguments) part(words []word) (f form, rest []word) {
	n := fillers(words, toward, classRoom, a.asker)
	if n < len(words) && words[n].class(a.asker) == classRoom && a.form.Before == nil {
		if f, rest = a.form.partOf(words[n+1:]); f.part != nil {
			return f, append(slices.Clone(rest), words[:n+1]...)
		}
	}
	return a.form.partOf(words)
}

// oneCommand refuses a second command in the same message: its name looks like a room where the prefix is an exclamation mark.
func (a *arguments) oneCommand(words []word) error {
	if a.form.Name == "help" {
		return nil
	}
	for _, w := range words {
		name, prefixed := strings.CutPrefix(w.text, a.prefix)
		if prefixed && !w.quoted && a.known != nil && a.known(commandName(name)) {
			return fault(room.Say("usage.one_command", "command", w.text))
		}
	}
	return nil
}

// setFlags refuses flags of other commands.
func (a *arguments) setFlags(flags []word) error {
	var known []string
	for _, p := range a.form.params() {
		if p.class == classFlag || p.named {
			known = append(known, p.Key)
		}
	}
	for _, w := range flags {
		name, _, _ := strings.Cut(strings.TrimRight(strings.ToLower(w.flag()), ",;.:!?"), "=")
		switch {
		case name == "h" || name == "help" || name == "?":
			a.help = true
		case !slices.Contains(known, name) || strings.Contains(w.text, "=") || strings.HasPrefix(w.text, "-") && !strings.HasPrefix(w.text, "--"):
			return a.usage(room.Sentences(room.Say("usage.flag", "flag", w.text), suggest(name, known, "--")))
		}
		a.words[name] = []word{w}
	}
	return nil
}

// fill gives words to parameters and returns the other words.
func (a *arguments) fill(params []Param, words []word) (rest []word, err error) {
	for i, p := range params {
		if p.class == classFlag || p.named || a.has(p.Key) {
			continue
		}
		var taken []word
		switch p.class {
		case classPerson:
			taken, rest = a.takePeople(p, params[i+1:], words)
		case classNumber:
			taken, rest = a.takeNumbers(words)
		default:
			if p.class == classRoom {
				words = words[fillers(words, toward, classRoom, a.asker):]
			}
			n := p.takes(words, a.asker)
			taken, rest = words[:n], words[n:]
		}
		if len(taken) == 0 {
			if err := a.missing(p, words); err != nil {
				return nil, err
			}
			continue
		}
		if !p.once.Empty() && len(rest) > 0 && p.fits(rest[0], a.asker) {
			return nil, a.usage(p.once)
		}
		if err := a.set(p, taken); err != nil {
			return nil, err
		}
		words = rest
	}
	return words, nil
}

// missing is the fault of a parameter without words; nil where it needs none.
func (a *arguments) missing(p Param, words []word) error {
	switch {
	case p.Optional || a.listed && p.class == classPerson:
		return nil
	case len(words) > 0 && !words[0].read(a.asker).wrong.Empty():
		return a.usage(words[0].read(a.asker).wrong)
	case p.class == classRoom && len(words) > 0:
		return a.noRoom(words[0])
	}
	return a.usage(p.missing)
}

// set gives a parameter its words, once they are valid.
func (a *arguments) set(p Param, words []word) error {
	switch p.class {
	case classPerson:
		if len(words) > maxTargets {
			return fault(room.Say("many.people", "n", len(words), "most", maxTargets))
		}
		for _, w := range words {
			if p.mail && w.address() != "" {
				continue
			}
			if r := w.read(a.asker); r.class != classPerson && !w.name && !w.reply {
				return fault(noUser(w.text, ""))
			} else if !r.wrong.Empty() {
				return fault(r.wrong)
			}
		}
	case classRoom:
		if r := words[0].read(a.asker); !r.wrong.Empty() {
			return a.noRoom(words[0])
		}
	case classNumber:
		if _, ok := cardNumbers(words); !ok {
			return fault(room.Say("many.cards", "most", maxCards))
		}
	}
	if p.choices != nil {
		words = []word{{text: strings.ToLower(strings.Trim(words[0].text, ",;:.!?"))}}
	}
	if p.prose && !a.data {
		if err := a.plain(words); err != nil {
			return err
		}
	}
	a.words[p.Key] = words
	return nil
}

// has reports whether an argument was given.
func (a *arguments) has(key string) bool { return len(a.words[key]) > 0 }

// people are the users in an argument.
func (a *arguments) people(key string) (users []id.UserID) {
	for _, w := range a.words[key] {
		if w.address() != "" || a.strangers[w.text] != nil {
			continue
		}
		user := w.read(a.asker).user // set has validated it
		if w.name || w.reply {
			user = a.persons[w.text]
		}
		users = append(users, user)
	}
	return users
}

// addresses are the e-mail addresses in an argument, and the names that nobody here has: a room may show any name for an address.
func (a *arguments) addresses(key string) (list []string) {
	for _, w := range a.words[key] {
		if address := w.address(); address != "" && !slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, address) }) {
			list = append(list, address)
		} else if w.name && a.strangers[w.text] != nil {
			list = append(list, w.text)
		}
	}
	return list
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
	if !slices.ContainsFunc(a.words[key], func(w word) bool { return !w.is(polite) && !w.is(joining) }) {
		return ""
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
		if c.Chat.DirectWith(c.Message.Room) != "" {
			return "", nil, c.usage(room.Say("usage.direct"))
		}
		return c.Message.Room, nil, nil
	}
	return c.resolve(ctx, c.words[key][0].read(c.asker).place) // set has validated it
}

// resolve finds the id of a room, and servers in it.
func (c *Call) resolve(ctx context.Context, p place) (id.RoomID, []string, error) {
	if p.alias == "" {
		return p.room, p.via, nil
	}
	var r id.RoomID
	var via []string
	err := elsewhere(ctx, c, id.UserID(p.alias).Homeserver(), func(ctx context.Context) (err error) {
		r, via, err = c.Requests.Resolve(ctx, p.alias)
		return err
	})
	if invites.Refused(err) {
		return "", nil, fault(room.Say("unknown.room", "room", p.alias))
	}
	return r, append(p.via, via...), err
}

// elsewhere makes a request which may need another server, as the asker named it. All such requests of one command together take three
// seconds at most. Where the server does not answer by then, the error is a fault with the name of the server: its lane waits no longer.
func elsewhere(ctx context.Context, c *Call, server string, request func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, lookupsTake)
	defer cancel()
	if c.until.IsZero() {
		c.until, _ = bounded.Deadline()
	}
	bounded, end := context.WithDeadline(bounded, c.until)
	defer end()
	err := request(bounded)
	silent := invites.Unreachable(err)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil && server != c.Self.Domain {
		silent = server
	}
	if silent == "" {
		return err
	}
	return fault(room.Say("unreachable.server", "server", silent))
}

// joinedRoom resolves the argument "room". The asker must be in the room.
func (c *Call) joinedRoom(ctx context.Context) (id.RoomID, error) {
	in, _, err := c.room(ctx, "room")
	if err == nil {
		err = memberOf(ctx, c, in)
	}
	return in, err
}

// direct reports whether a command was given in its sender's direct chat with the bot: others may have invited the bot there for a direct chat, too.
func direct(c *Call) bool { return c.Chat.DirectWith(c.Message.Room) == c.Message.Sender }

// private reports whether nobody but the sender reads the bot's answer.
func private(ctx context.Context, c *Call) (bool, error) {
	if !direct(c) || c.People == nil {
		return direct(c), nil
	}
	members, err := c.People.Members(ctx, c.Message.Room)
	return len(members) <= 2, err
}

// memberOf returns nil where the asker is in a room. Others get the same answer whatever the room is.
func memberOf(ctx context.Context, c *Call, in id.RoomID) error {
	if in == c.Message.Room {
		return nil
	}
	return c.Judge.Reach.Member(ctx, in, c.Message.Sender)
}
