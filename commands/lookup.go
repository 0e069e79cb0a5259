package commands

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
	"usher/room"
)

// People is the commands' port to the users known to the homeserver.
type People interface {
	// Exists reports whether the homeserver has a user. It is called for users of the bot's own server only.
	Exists(ctx context.Context, user id.UserID) (bool, error)
	// Members returns the display names of the people in a room joined by the bot, by their ids.
	Members(ctx context.Context, in id.RoomID) (map[id.UserID]string, error)
	// Author returns the sender of an event in a room joined by the bot.
	Author(ctx context.Context, in id.RoomID, event id.EventID) (id.UserID, error)
}

// directory answers questions about users from memory where it can.
type directory struct {
	mu     sync.Mutex
	exists map[id.UserID]existence
}

type existence struct {
	found bool
	until time.Time
}

// How long answers of the homeserver are believed, how many are kept, how many users are asked for at the same time, and how long the
// questions of one command about users, and its requests to other servers, may take.
const (
	believeFound   = 10 * time.Minute
	believeMissing = 20 * time.Second
	maxExistences  = 10_000
	lookupsAtOnce  = 8
	lookupsTake    = 3 * time.Second
)

// lookup finds people for one command.
type lookup struct {
	People
	*directory
	self  invites.Identity
	clock invites.Clock
	asker id.UserID
	in    id.RoomID            // the room of the command
	reply id.EventID           // the message replied to
	names map[id.UserID]string // of the people in the room, once they have been asked for
}

// recognize finds the people behind the names in words, and refuses missing people of the bot's own server.
func (c *Call) recognize(ctx context.Context) error {
	l := lookupOf(c)
	for _, p := range c.form.params() {
		if p.class != classPerson {
			continue
		}
		for _, w := range c.words[p.Key] {
			user, err := l.personOf(ctx, w)
			if p.strange && w.name && err != nil {
				c.strangers[w.text] = err
				continue
			}
			if err != nil {
				return err
			}
			if w.reply && user == "" {
				return c.usage(p.missing)
			}
			if user != "" {
				c.persons[w.text] = user
			}
		}
		if p.known && !c.listed {
			if err := l.allExist(ctx, c.people(p.Key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookupOf finds people for a command.
func lookupOf(c *Call) *lookup {
	return &lookup{c.People, &c.directory, c.Self, c.Clock, c.asker, c.Message.Room, c.Message.ReplyTo, nil}
}

// personOf returns the person of a name or a reply, empty for every other word.
func (l *lookup) personOf(ctx context.Context, w word) (id.UserID, error) {
	switch {
	case w.reply:
		return l.author(ctx), nil
	case !w.name:
		return "", nil
	case slices.Contains([]string{"me", "myself", "mich", "mir", "moi"}, strings.ToLower(w.text)):
		return l.asker, nil
	}
	return l.byName(ctx, w.text)
}

// author is the sender of the message replied to, empty where the sender is the bot or can't be found.
func (l *lookup) author(ctx context.Context) id.UserID {
	if l.People == nil {
		return ""
	}
	author, err := l.People.Author(ctx, l.in, l.reply)
	if err != nil || author == l.self.Bot {
		return ""
	}
	return author
}

// byName finds the one person meant by a name: the display name or the localpart of somebody in the room, or the localpart of
// somebody on the asker's server. Where several people fit, or nobody does, the command is refused.
func (l *lookup) byName(ctx context.Context, name string) (id.UserID, error) {
	members, err := l.membersHere(ctx)
	if err != nil {
		return "", fault(noUser(name, ""))
	}
	var fit []id.UserID
	for user, shown := range members {
		if user != l.self.Bot && (strings.EqualFold(tidy(shown), tidy(name)) || strings.EqualFold(user.Localpart(), name)) {
			fit = append(fit, user)
		}
	}
	if local := (word{text: "@" + strings.ToLower(name)}).read(l.asker).user; local != "" && !slices.Contains(fit, local) {
		if exists, asked := l.known(ctx, local); exists && asked {
			fit = append(fit, local)
		}
	}
	slices.Sort(fit)
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) > 1:
		return "", fault(room.Say("name.several", "name", name, "users", strings.Join(texts(fit[:min(len(fit), maxCandidates)]), " ")))
	}
	return "", fault(room.Sentences(room.Say("name.nobody", "name", name), l.guess(name, members)))
}

// maxCandidates is how many people a refusal names.
const maxCandidates = 5

func texts(users []id.UserID) (list []string) {
	for _, u := range users {
		list = append(list, string(u))
	}
	return list
}

// tidy is a display name as it is compared. One with invisible characters is equal to no other.
func tidy(name string) string {
	if strings.ContainsFunc(name, room.Invisible) {
		return ""
	}
	return strings.Join(strings.Fields(name), " ")
}

// guess suggests the person in the room with the name nearest to a mistyped one, also to one of several words.
func (l *lookup) guess(name string, members map[id.UserID]string) room.Phrase {
	users := map[string]id.UserID{}
	for user, shown := range members {
		if user == l.self.Bot || len(users) > 20_000 {
			continue
		}
		for _, known := range []string{user.Localpart(), strings.ToLower(tidy(shown))} {
			if known != "" && len(known) <= 64 {
				users[known] = user
			}
		}
	}
	names := slices.Sorted(maps.Keys(users))
	found := nearest(name, names)
	if first, _, several := strings.Cut(name, " "); found == "" && several {
		found = nearest(first, names)
	}
	if found == "" {
		return room.Say("name.full", "server", l.asker.Homeserver())
	}
	return room.Say("suggest", "name", users[found])
}

// allExist refuses users of the bot's own server unknown to the homeserver. Only people of the same server get the answer: for others
// it would tell which accounts exist here. A homeserver which does not answer is believed to have them all.
func (l *lookup) allExist(ctx context.Context, users []id.UserID) error {
	missing := l.missing(ctx, users)
	if len(missing) == 0 {
		return nil
	}
	return l.nobody(ctx, missing)
}

// missing returns the users of the bot's own server that do not exist, as far as the homeserver tells within lookupsTake.
func (l *lookup) missing(ctx context.Context, users []id.UserID) (missing []id.UserID) {
	ctx, cancel := context.WithTimeout(ctx, lookupsTake)
	defer cancel()
	for part := range slices.Chunk(users, lookupsAtOnce) {
		if ctx.Err() != nil {
			break
		}
		gone := make([]bool, len(part))
		var asking sync.WaitGroup
		for i, user := range part {
			asking.Go(func() {
				exists, asked := l.known(ctx, user)
				gone[i] = asked && !exists
			})
		}
		asking.Wait()
		for i, user := range part {
			if gone[i] && !slices.Contains(missing, user) {
				missing = append(missing, user)
			}
		}
	}
	return missing
}

// nobody refuses a command with people missing on the server.
func (l *lookup) nobody(ctx context.Context, missing []id.UserID) error {
	named := missing[:min(len(missing), maxCandidates)]
	p := room.Say("unknown.user", "n", len(missing), "users", strings.Join(texts(named), " "))
	if len(missing) > 1 {
		return fault(p)
	}
	local := missing[0]
	small := id.UserID("@" + strings.ToLower(local.Localpart()) + ":" + local.Homeserver())
	if exists, asked := l.known(ctx, small); small != local && exists && asked {
		return fault(room.Sentences(p, room.Say("suggest", "name", small)))
	}
	members, err := l.membersHere(ctx)
	if err != nil {
		return fault(p)
	}
	var names []string
	for user := range members {
		if user.Homeserver() == local.Homeserver() {
			names = append(names, user.Localpart())
		}
	}
	slices.Sort(names)
	if name := nearest(local.Localpart(), names); name != "" {
		p = room.Sentences(p, room.Say("suggest", "name", "@"+name+":"+local.Homeserver()))
	}
	return fault(p)
}

// known reports whether a user exists. asked is false where the bot can't ask: for users of other servers, by people of other servers,
// and for users of bridges, which have names beginning with "_" and exist once they are needed.
func (l *lookup) known(ctx context.Context, user id.UserID) (found, asked bool) {
	domain := l.self.Domain
	if l.People == nil || user.Homeserver() != domain || l.asker.Homeserver() != domain || strings.HasPrefix(user.Localpart(), "_") {
		return false, false
	}
	d, now := l.directory, l.clock.Now()
	d.mu.Lock()
	kept, is := d.exists[user]
	d.mu.Unlock()
	if is && now.Before(kept.until) {
		return kept.found, true
	}
	found, err := l.People.Exists(ctx, user)
	if err != nil {
		return false, false
	}
	keep := believeMissing
	if found {
		keep = believeFound
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.exists == nil || len(d.exists) >= maxExistences {
		d.exists = map[id.UserID]existence{}
	}
	d.exists[user] = existence{found, now.Add(keep)}
	return found, true
}

// membersHere returns the display names of the people in the room of the command.
func (l *lookup) membersHere(ctx context.Context) (map[id.UserID]string, error) {
	if l.People == nil || l.names != nil {
		return l.names, nil
	}
	names, err := l.People.Members(ctx, l.in)
	l.names = names
	return names, err
}

// meant tells the users meant by the names in a command.
func (c *Call) meant() (t Text) {
	for _, name := range slices.Sorted(maps.Keys(c.persons)) {
		if name != "" {
			t.Say("name.meant", "name", name, "user", c.persons[name])
		}
	}
	return t
}
