package commands

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"maunium.net/go/mautrix/id"

	"usher/room"
)

// Words written around names, without a meaning of their own.
var (
	// joining words stand between two people.
	joining = []string{
		"and", "&", "&amp;", "+", "/", "|", ",", ";", "und", "u.", "sowie", "et", "y", "e", "i", "en", "og", "och", "ja", "и", "plus", "also", "auch", "und auch", "as", "well",
		"oraz", "ve", "та", "і", "és", "și", "και", "و", "ו", "和", "与", "と", "와", "과",
	}
	// toward stand before a room.
	toward = []string{
		"to", "in", "into", "at", "@", "->", "→", "=>", "the", "room", "channel", "chat", "nach", "zu", "zum", "zur", "ins", "im", "den", "dem", "der", "raum", "kanal",
		"à", "dans", "au", "le", "la", "salon", "a", "al", "en", "el", "sala", "naar", "kamer", "till", "в",
	}
	// prepositions are the words among these after which a single word is a room.
	prepositions = []string{"to", "in", "into", "->", "→", "=>", "room", "channel", "nach", "zum", "zur", "ins", "im", "raum", "kanal", "dans", "au", "naar", "till", "в"}
	// before stand before the first person.
	before = []string{"user", "users", "member", "person", "people", "please", "pls", "bitte", "nutzer", "benutzer", "the", "with", "mit", "von", "by", "for", "für"}
	// polite words are no reason.
	polite = []string{
		"please", "pls", "plz", "bitte", "thanks", "thank", "you", "thx", "danke", "merci", "gracias", "svp", "tack", "🙏", "por", "favor", "grazie",
		"proszę", "пожалуйста", "спасибо", "お願いします", "请",
	}
	// choosing begin a condition on the people, which no command has.
	choosing = []string{"or", "oder", "ou", "eller", "lub", "или", "except", "but", "without", "außer", "ausser", "ohne", "sauf", "excepto", "not", "nicht"}
	// listMark begins an item of a list.
	listMark = regexp.MustCompile(`^(?:[-*•·–—]|[0-9]{1,3}[.)]|\[[ x]?\])$`)
)

// is reports whether a word is one of some words.
func (w word) is(list []string) bool {
	text := strings.ToLower(w.text)
	return !w.quoted && (slices.Contains(list, text) || slices.Contains(list, strings.TrimRight(text, ":,.!")))
}

// marks reports whether a word is the mark of an item in a list.
func (w word) marks() bool { return !w.quoted && listMark.MatchString(w.text) }

// maxFillers bounds the words before an identifier.
const maxFillers = 6

// fillers counts the words of a list at the start of words, if a word of the class follows them.
func fillers(words []word, list []string, c class, asker id.UserID) int {
	n := 0
	for n < len(words) && n < maxFillers && (words[n].is(list) || words[n].marks()) {
		n++
	}
	if n == len(words) || words[n].class(asker) != c {
		return 0
	}
	return n
}

// people collects the words of one parameter of people.
type people struct {
	asker id.UserID
	stops []string // words at the beginning of the next parameter
	taken []word
	words []word // not yet read
	list  bool   // each person stands behind a list mark
	mail  bool   // addresses count as well
}

// takePeople reads the people at the start of a list: identifiers, names after a joining word, and a name in the first place. Joining words,
// list marks and labels, as in Bob (@bob:server.org), are passed over.
func (a *arguments) takePeople(p Param, next []Param, words []word) (taken, rest []word) {
	r := &people{asker: a.asker, words: words, list: len(words) > 0 && words[0].marks(), mail: p.mail}
	bare := true
	for _, n := range next {
		r.stops = append(r.stops, n.choices...)
		bare = bare && (!p.Optional || n.class != classText)
	}
	bare = bare && !a.listed // words without a sigil are the reason
	for r.identifier() || bare && r.nameNext() {
		if !p.many {
			break
		}
	}
	if len(r.taken) == 0 && a.reply && !p.Optional && !a.listed {
		r.taken = []word{{reply: true}}
	}
	return r.taken, r.words
}

// identifier takes the next word if it is an identifier.
func (r *people) identifier() bool {
	list := joining
	if len(r.taken) == 0 {
		list = before
	}
	i := fillers(r.words, list, classPerson, r.asker)
	if i == 0 && len(r.taken) == 0 {
		i = r.label()
	}
	if r.mail && i < len(r.words) && r.words[i].address() != "" {
		r.taken, r.words = append(r.taken, r.words[i]), r.words[i+1:]
		return true
	}
	if i >= len(r.words) || r.words[i].class(r.asker) != classPerson {
		return false
	}
	if n := len(r.taken); n > 0 && i == 0 && !r.taken[n-1].comma && r.words[i].read(r.asker).bare {
		return false // "@u 56:server.org" is one id with a gap
	}
	r.taken, r.words = append(r.taken, r.words[i]), r.words[i+1:]
	return true
}

// label counts the words of a name before an identifier in brackets.
func (r *people) label() int {
	n := 0
	for n < len(r.words) && n < maxFillers && r.partOfName(r.words[n]) && !r.words[n].comma {
		n++
	}
	if n == 0 || n == len(r.words) || r.words[n].class(r.asker) != classPerson || !strings.ContainsAny(r.words[n].raw[:1], "(<[") {
		return 0
	}
	return n
}

// nameNext takes the next words if they are the name of a person: at the start, or after a joining word or a comma.
func (r *people) nameNext() bool {
	i, joined := 0, len(r.taken) == 0
	for i < len(r.words) && (len(r.taken) > 0 && r.words[i].is(joining) && r.words[i].text != "I" || r.list && r.words[i].marks()) {
		i, joined = i+1, true
	}
	after := len(r.taken) > 0 && r.taken[len(r.taken)-1].comma
	if !joined && !after {
		return false
	}
	end := i
	for end < len(r.words) && r.partOfName(r.words[end]) {
		end++
		if r.words[end-1].comma || r.words[end-1].quoted {
			break
		}
	}
	switch {
	case end == i:
		return false
	case !joined && end > i+1 && !r.words[end-1].comma:
		return false // a comma, then a sentence: the reason
	}
	rest := r.words[end:]
	if l := (&people{asker: r.asker, words: r.words[i:]}).label(); l == end-i {
		r.words = rest
		return r.identifier()
	}
	name := courteous(r.words[i:end])
	if len(name) == 0 {
		return false
	}
	for _, text := range strings.FieldsFunc(wordsText(name), func(c rune) bool { return strings.ContainsRune(",;，、；", c) }) {
		if text = strings.Trim(strings.TrimSpace(text), "!?.:\"'“”„"); text != "" {
			r.taken = append(r.taken, word{text: text, raw: text, name: true})
		}
	}
	if len(r.taken) > 0 {
		r.taken[len(r.taken)-1].comma = r.words[end-1].comma
	}
	r.words = rest
	return end > i
}

// courteous returns the words of a name without the polite ones around it.
func courteous(words []word) []word {
	for len(words) > 0 && words[len(words)-1].is(polite) {
		words = words[:len(words)-1]
	}
	for len(words) > 0 && words[0].is(polite) && words[0].is(before) {
		words = words[1:]
	}
	return words
}

func (r *people) partOfName(w word) bool {
	return w.class(r.asker) == classText && !w.is(joining) && !w.marks() && !w.is(r.stops) || w.quoted && w.class(r.asker) == classText
}

func wordsText(words []word) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
		if w.comma && w.quoted {
			texts[i] += ","
		}
	}
	return strings.Join(texts, " ")
}

// takeNumbers reads the numbers of cards at the start of a list. A range may have spaces around its dash.
func (a *arguments) takeNumbers(words []word) (taken, rest []word) {
	is := func(i int) bool { return i < len(words) && words[i].class(a.asker) == classNumber }
	for i := 0; ; i++ {
		for len(taken) > 0 && i+1 < len(words) && words[i].is(joining) && is(i+1) {
			i++
		}
		if !is(i) {
			return taken, words[i:]
		}
		w := words[i]
		if is(i+2) && (words[i+1].text == "-" || words[i+1].text == "–" || words[i+1].is([]string{"to", "bis"})) {
			w.text += "-" + words[i+2].text
			i += 2
		}
		taken = append(taken, w)
	}
}

// pullRoom takes the room of a command out of the words. In a command with a text for people, only people, numbers or a name may stand
// before it.
func (a *arguments) pullRoom(words []word) (rest []word, err error) {
	p, prose, ok := a.form.freeRoom()
	if !ok {
		return words, nil
	}
	given, known, text := a.has(p.Key), false, false
	for i := 0; i < len(words); i++ {
		n := fillers(words[i:], toward, classRoom, a.asker)
		w := words[i+n]
		c := w.class(a.asker)
		switch {
		case c == classPerson || c == classNumber:
			known = true
		case c != classRoom:
			text = text || !w.is(joining) && !w.is(before) && !w.is(toward) && !w.marks()
		case given:
			return nil, a.usage(room.Say("usage.two_rooms", "room", w.read(a.asker).place.name()))
		default:
			if err := a.set(p, []word{w}); err != nil {
				return nil, err
			}
			given = true
			words = append(slices.Clone(words[:i]), words[i+n+1:]...)
			i--
		}
		if prose && known && text {
			break // the reason begins; without people before it, the text may be the name of one
		}
	}
	return words, nil
}

// freeRoom is the parameter of the command's room where it may stand at any place, and whether the command has a text for people.
func (f form) freeRoom() (p Param, prose, ok bool) {
	rooms := 0
	for _, each := range f.params() {
		switch {
		case each.named:
		case each.class == classRoom:
			p = each
			rooms++
		case each.prose:
			prose = true
		case each.class == classText && each.many:
			return p, false, false // the text may hold rooms
		}
	}
	return p, prose, rooms == 1
}

// plain refuses a reason with a word meant for something else: a person or a room left over, a flag without its dashes, a room
// without its sigil.
func (a *arguments) plain(words []word) error {
	if len(words) == 1 && words[0].quoted && words[0].class(a.asker) == classText {
		return nil
	}
	flags := map[string]string{} // names by the words used for them
	for _, p := range a.form.params() {
		if p.class == classFlag && strings.Contains(p.Key, "-") {
			flags[p.Key], flags[strings.ReplaceAll(p.Key, "-", "")] = p.Key, p.Key
		}
	}
	for i, w := range words {
		r, name := w.read(a.asker), flags[strings.ToLower(strings.TrimFunc(w.text, func(r rune) bool { return !unicode.IsLetter(r) }))]
		switch {
		case name != "" && !w.quoted:
			return a.usage(room.Sentences(room.Say("usage.word", "word", w.text), room.Say("suggest", "name", "--"+name)))
		case w.class(a.asker) == classNumber:
			continue
		case r.class == classRoom && a.has("room"):
			return a.usage(room.Say("usage.two_rooms", "room", w.text))
		case r.class == classRoom && r.wrong.Empty():
			return a.usage(room.Say("usage.late_room", "room", r.place.name()))
		case r.class == classPerson && r.wrong.Empty():
			return a.usage(room.Say("usage.late_person", "user", r.user))
		case r.class != classText:
			return a.usage(room.Sentences(r.wrong, room.Say("usage.quote")))
		case i == 0 && (w.marks() && len(words) == 1 || a.form.has(classPerson) && w.is(choosing) || w.is(joining) && len(words) == 1 && !a.has("room")):
			return a.usage(room.Sentences(room.Say("usage.word", "word", w.text), room.Say("usage.quote")))
		}
	}
	return a.towardRoom(words)
}

// towardRoom refuses a reason of only a preposition and a single name, such as "to lobby" or "to lobby please".
func (a *arguments) towardRoom(words []word) error {
	for len(words) > 0 && words[len(words)-1].is(polite) {
		words = words[:len(words)-1]
	}
	n := 0
	for n < len(words) && words[n].is(toward) && !words[n].quoted {
		n++
	}
	if n == 0 || !words[0].is(prepositions) || n != len(words)-1 || a.has("room") || words[n].quoted || !a.form.has(classRoom) {
		return nil
	}
	p := room.Say("no.room", "text", words[n].text)
	if name := strings.ToLower(peel(words[n].text)); ownName.MatchString(name) {
		p = room.Sentences(p, room.Say("suggest", "name", "#"+name+":"+a.asker.Homeserver()))
	}
	return a.usage(room.Sentences(p, room.Say("usage.quote")))
}

// noRoom refuses a word which names no room, with a guess.
func (a *arguments) noRoom(w word) error {
	r := w.read(a.asker)
	if !r.wrong.Empty() {
		return fault(r.wrong)
	}
	p := room.Say("no.room", "text", w.text)
	if name := peel(w.text); r.class == classText && ownName.MatchString(name) && a.asker != "" {
		p = room.Sentences(p, room.Say("suggest", "name", "#"+name+":"+a.asker.Homeserver()))
	}
	return fault(p)
}
