package room

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"maunium.net/go/mautrix/id"
)

// maxLine is the longest line, in bytes, that Check reads.
const maxLine = 4 << 20

// Check judges cases in JSON Lines, one a line, and answers each with a line (docs/check.md has the format). It is what
// `usher check` does. A malformed line is answered with its number and fault, and the rest go on; empty lines are
// skipped. text puts the reason of a verdict into words. It returns how many lines were malformed, and an error of reading or
// writing.
func Check(in io.Reader, out io.Writer, text func(Phrase) string) (malformed int, err error) {
	lines := bufio.NewReaderSize(in, 64<<10)
	answers := bufio.NewWriter(out)
	encoder := json.NewEncoder(answers)
	encoder.SetEscapeHTML(false)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return malformed, answers.Flush()
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLong) {
			return malformed, errors.Join(err, answers.Flush())
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var answer any
		if c, fault := parseCase(line, err); fault != nil {
			malformed++
			answer = checkFault{number, fault.Error()}
		} else {
			answer = c.answer(text)
		}
		if err := encoder.Encode(answer); err != nil {
			return malformed, err
		}
		if lines.Buffered() == 0 { // somebody may wait for the answer
			if err := answers.Flush(); err != nil {
				return malformed, err
			}
		}
	}
}

var errLong = fmt.Errorf("line longer than %d bytes", maxLine)

// readLine reads a line without its end. Of a line that is too long it returns errLong and the part that fits. The
// last line may come with io.EOF.
func readLine(r *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			long = true
		} else {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long && (err == nil || errors.Is(err, io.EOF)) {
			return line, errLong
		}
		return bytes.TrimSuffix(line, []byte("\n")), err
	}
}

// checkCase is one line of input.
type checkCase struct {
	id     json.RawMessage // as given
	state  State
	action Action
}

type checkFault struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

type checkAnswer struct {
	ID      json.RawMessage `json:"id"`
	Verdict string          `json:"verdict"`
	Rule    Rule            `json:"rule"`
	Reasons []checkReason   `json:"reasons"`
	// ClientAPI has the homeservers whose client API is known to answer otherwise.
	ClientAPI map[Homeserver]checkAPI `json:"client_api,omitempty"`
}

// checkAPI is what a client API answers where that is not the verdict of the rules.
type checkAPI struct {
	Verdict string `json:"verdict"`
	Rule    Rule   `json:"rule"`
	Errcode string `json:"errcode,omitempty"`
}

// checkReason is the evidence of a result, and the sentence for it.
type checkReason struct {
	Rule   Rule        `json:"rule"`
	Text   string      `json:"text"`
	State  *checkState `json:"state,omitempty"`
	User   id.UserID   `json:"user,omitempty"`
	Found  string      `json:"found,omitempty"`
	Wanted string      `json:"wanted,omitempty"`
	Had    any         `json:"had,omitempty"` // an integer, or "infinite"
	Needed any         `json:"needed,omitempty"`
}

type checkState struct {
	Type     string `json:"type"`
	StateKey string `json:"state_key"`
}

func (c checkCase) answer(text func(Phrase) string) checkAnswer {
	snapshot := NewSnapshot(c.state)
	r := Authorize(snapshot, c.action)
	e := r.Evidence
	reason := checkReason{Rule: r.Rule, Text: text(r.Phrase()), User: e.User, Found: e.Found, Wanted: e.Wanted}
	if e.Key != (Key{}) {
		reason.State = &checkState{e.Key.Type, e.Key.StateKey}
	}
	if r.comparesPower() {
		reason.Had, reason.Needed = e.Had.json(), e.Needed.json()
	}
	return checkAnswer{c.id, r.Verdict.String(), r.Rule, []checkReason{reason}, otherwise(snapshot, c.action, r)}
}

// otherwise lists the client APIs that answer otherwise than r.
func otherwise(s *Snapshot, a Action, r Result) map[Homeserver]checkAPI {
	var apis map[Homeserver]checkAPI
	for _, hs := range [...]Homeserver{Synapse, Dendrite} {
		answer := ClientAPI(s, a, hs)
		if answer.Verdict == r.Verdict {
			continue
		}
		if apis == nil {
			apis = map[Homeserver]checkAPI{}
		}
		apis[hs] = checkAPI{answer.Verdict.String(), answer.Rule, answer.Errcode}
	}
	return apis
}

func (l Level) json() any {
	if l == Infinite {
		return "infinite"
	}
	return int64(l)
}

// parseCase reads a line; err is what reading it gave.
func parseCase(line []byte, err error) (checkCase, error) {
	var c checkCase
	if errors.Is(err, errLong) {
		return c, errLong
	}
	root, _, ok := parse(string(line))
	if !ok {
		return c, errors.New("not JSON, or an object has a key twice")
	}
	if root.kind != kindObject {
		return c, errors.New("not a JSON object")
	}
	r := reader{}
	c.id = json.RawMessage(r.want(root, "id", kindString).raw)
	c.state.Version = id.RoomVersion(r.text(root, "room_version"))
	action := r.want(root, "action", kindObject)
	state := r.want(root, "state", kindObject)
	c.action = r.action(action)
	c.state.Events = r.events(state, c.action)
	return c, r.fault
}

// reader reads a case and keeps the first fault.
type reader struct{ fault error }

func (r *reader) fail(format string, args ...any) {
	if r.fault == nil {
		r.fault = fmt.Errorf(format, args...)
	}
}

// want returns a member that must be there and be of one kind.
func (r *reader) want(n node, key string, k kind) node {
	v := n.get(key)
	switch {
	case !v.exists():
		r.fail("%q is missing", key)
	case v.kind != k:
		r.fail("%q is not %s", key, kindName(k))
	}
	return v
}

func kindName(k kind) string {
	if k == kindString {
		return "a string"
	}
	return "an object"
}

func (r *reader) text(n node, key string) string {
	s, _ := r.want(n, key, kindString).str()
	return s
}

func (r *reader) action(n node) Action {
	if n.kind != kindObject {
		return Action{}
	}
	a := Action{Type: ActionType(r.text(n, "type")), Sender: id.UserID(r.text(n, "sender"))}
	if a.Type.eventType() == "" {
		r.fail("%q is no action type", a.Type)
	}
	if a.Type.membership() != "" {
		a.Target = id.UserID(r.text(n, "target"))
	}
	a.Content = json.RawMessage(n.get("content").raw)
	switch first := n.get("prev_is_create"); first.kind {
	case kindNone, kindFalse:
	case kindTrue:
		a.PrevIsCreate = true
	default:
		r.fail(`"prev_is_create" is not a boolean`)
	}
	return a
}

// events collects that state which the action needs. What the case does not mention stays unknown.
func (r *reader) events(state node, a Action) map[Key]*Event {
	events := make(map[Key]*Event)
	for _, key := range Needs(a) {
		switch key.Type {
		case typeCreate:
			r.event(events, key, state.get("create"), true)
		case typeJoinRules:
			r.event(events, key, state.get("join_rules"), false)
		case typePowerLevels:
			r.event(events, key, state.get("power_levels"), false)
		case typeMember:
			r.entry(events, key, state, "members")
		case typeThirdParty:
			r.entry(events, key, state, "third_party_invite")
		}
	}
	return events
}

// entry takes an event from a map by state key, as which null is an empty one.
func (r *reader) entry(events map[Key]*Event, key Key, state node, name string) {
	all := state.get(name)
	switch all.kind {
	case kindNone:
		return
	case kindNull, kindObject:
	default:
		r.fail("%q is not an object", name)
		return
	}
	n := all.get(key.StateKey)
	if !n.exists() {
		n.kind = kindNull
	}
	r.event(events, key, n, key.Type == typeThirdParty)
}

// event takes an event: its content, wrapped together with the sender or not. null is no event.
func (r *reader) event(events map[Key]*Event, key Key, n node, wrapped bool) {
	switch n.kind {
	case kindNone:
		return
	case kindNull:
		events[key] = nil
		return
	}
	e := &Event{Content: json.RawMessage(n.raw)}
	sender, _ := n.get("sender").str()
	e.Sender = id.UserID(sender)
	if wrapped {
		if n.kind != kindObject {
			r.fail("%s is not an object", key.Type)
		}
		e.Content = json.RawMessage(n.get("content").raw)
	}
	events[key] = e
}
