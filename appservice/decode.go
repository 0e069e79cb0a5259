package appservice

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/exactjson"
	"usher/invites"
)

// errNotJSON says that a transaction can't be taken apart.
var errNotJSON = errors.New("the body is not JSON")

// Faults of what stands in place of an event.
const (
	faultNoTransaction = "transaction: no object"
	faultNoEvents      = "events: no array"
	faultNoEvent       = "event: no object"
	faultSyntax        = "malformed, not UTF-8, or a key twice"
	faultRoom          = "no usable room_id"
	faultState         = "no usable type/state_key"
	faultContent       = "content: no object"
	faultID            = "no usable event_id"
	faultSender        = "no usable sender"
	faultTime          = "no usable origin_server_ts"
)

// rawEvent is an event as it stands in a transaction, in pieces that share its bytes; nil where it has no such field.
// Keys are exact: folded ones ("ſender") are other keys, and those that count stand once or the event is malformed.
type rawEvent struct {
	raw                                          []byte
	typ, stateKey, sender, room, id, ts, redacts []byte
	content                                      rawContent
}

// rawContent is an event's content, in the same way.
type rawContent struct {
	raw                                               []byte
	msgtype, body, membership, redacts, rel, mentions []byte
	thirdParty, relEvent, relKey, algorithm           []byte
}

// secret tells whether encrypted content may hold a command, or the edit of one: a reaction does not, and how an event relates
// to others stands outside (https://spec.matrix.org/latest/client-server-api/#mmegolmv1aes-sha2).
func (c *rawContent) secret() bool {
	return c.megolm() && string(c.rel) != `"m.annotation"`
}

func (c *rawContent) megolm() bool { return string(c.algorithm) == `"m.megolm.v1.aes-sha2"` }

// eachEvent takes a transaction (https://spec.matrix.org/latest/application-service-api/#put_matrixappv1transactionstxnid)
// apart: found is called for each event, which is good until found returns, and broken for what can't be read.
// errNotJSON says that not even the events' bounds can be told.
func eachEvent(b []byte, found func(*rawEvent), broken func(raw []byte, fault string)) error {
	start := exactjson.SkipSpace(b, 0)
	if start == len(b) {
		return errNotJSON
	}
	if b[start] != '{' {
		if !exactjson.Valid(b) {
			return errNotJSON
		}
		broken(b, faultNoTransaction)
		return nil
	}
	var e rawEvent
	end := exactjson.Walk(b, start, func(key []byte, i int) int {
		if string(key) == "events" {
			return walkEvents(b, i, &e, found, broken)
		}
		return skipAny(b, i)
	})
	if end == exactjson.Bad || exactjson.SkipSpace(b, end) != len(b) {
		return errNotJSON
	}
	return nil
}

func walkEvents(b []byte, i int, e *rawEvent, found func(*rawEvent), broken func([]byte, string)) int {
	if i >= len(b) || b[i] != '[' {
		end := skipAny(b, i)
		if end != exactjson.Bad && string(b[i:end]) != "null" {
			broken(b[i:end], faultNoEvents)
		}
		return end
	}
	return exactjson.WalkArray(b, i, func(start int) int {
		if start < len(b) && b[start] == '{' {
			if end := e.parse(b, start); end != exactjson.Bad {
				found(e)
				return end
			}
		}
		end := skipAny(b, start)
		if end == exactjson.Bad || end == start {
			return exactjson.Bad
		}
		fault := faultNoEvent
		if b[start] == '{' {
			fault = faultSyntax
		}
		broken(b[start:end], fault)
		return end
	})
}

// skipAny returns the index after the value at b[i], malformed or not, or bad where its end can't be told.
func skipAny(b []byte, i int) int {
	if end := exactjson.SkipValue(b, i); end != exactjson.Bad {
		return end
	}
	return exactjson.SkipBalanced(b, i)
}

// parse reads the event at b[i] and returns the index after it, or bad.
func (e *rawEvent) parse(b []byte, i int) int {
	*e = rawEvent{}
	end := exactjson.Walk(b, i, func(key []byte, i int) int {
		switch string(key) {
		case "type":
			return take(&e.typ, b, i)
		case "state_key":
			return take(&e.stateKey, b, i)
		case "sender":
			return take(&e.sender, b, i)
		case "room_id":
			return take(&e.room, b, i)
		case "event_id":
			return take(&e.id, b, i)
		case "origin_server_ts":
			return take(&e.ts, b, i)
		case "redacts":
			return take(&e.redacts, b, i)
		case "content":
			return e.content.parse(b, i)
		}
		return exactjson.SkipValue(b, i)
	})
	if end != exactjson.Bad {
		e.raw = b[i:end]
	}
	return end
}

func (c *rawContent) parse(b []byte, i int) int {
	if c.raw != nil {
		return exactjson.Bad
	}
	if i >= len(b) || b[i] != '{' {
		return take(&c.raw, b, i)
	}
	end := exactjson.Walk(b, i, func(key []byte, i int) int {
		switch string(key) {
		case "msgtype":
			return take(&c.msgtype, b, i)
		case "body":
			return take(&c.body, b, i)
		case "membership":
			return take(&c.membership, b, i)
		case "redacts":
			return take(&c.redacts, b, i)
		case "third_party_invite":
			return take(&c.thirdParty, b, i)
		case "algorithm":
			return take(&c.algorithm, b, i)
		case "m.mentions":
			return take(&c.mentions, b, i)
		case "m.relates_to":
			if i < len(b) && b[i] == '{' {
				return exactjson.Walk(b, i, func(key []byte, i int) int {
					switch string(key) {
					case "rel_type":
						return take(&c.rel, b, i)
					case "event_id":
						return take(&c.relEvent, b, i)
					case "key":
						return take(&c.relKey, b, i)
					}
					return exactjson.SkipValue(b, i)
				})
			}
		}
		return exactjson.SkipValue(b, i)
	})
	if end != exactjson.Bad {
		c.raw = b[i:end]
	}
	return end
}

// take keeps the value at b[i] in an empty field and returns the index after it, or bad.
func take(field *[]byte, b []byte, i int) int {
	end := exactjson.SkipValue(b, i)
	if end == exactjson.Bad || *field != nil {
		return exactjson.Bad
	}
	*field = b[i:end]
	return end
}

// received copies an event for the inbox, or says what is wrong with it.
func (e *rawEvent) received(now time.Time) (r invites.Received, fault string) {
	event, okID := exactjson.Unquote(e.id)
	in, okRoom := exactjson.Unquote(e.room)
	sender, okSender := exactjson.Unquote(e.sender)
	typ, okType := exactjson.Unquote(e.typ)
	ts, okTime := number(e.ts)
	switch {
	case !okID || len(event) < 2 || event[0] != '$':
		return r, faultID
	case !okRoom || len(in) < 2 || in[0] != '!':
		return r, faultRoom
	case !okSender || len(sender) < 2 || sender[0] != '@':
		return r, faultSender
	case !okType:
		return r, faultState
	case !okTime:
		return r, faultTime
	case len(e.content.raw) == 0 || e.content.raw[0] != '{':
		return r, faultContent
	}
	if e.stateKey != nil {
		key, ok := exactjson.Unquote(e.stateKey)
		if !ok {
			return r, faultState
		}
		r.StateKey = &key
	}
	r.Event, r.Room, r.Sender, r.Type = id.EventID(event), id.RoomID(in), id.UserID(sender), typ
	r.Raw, r.SentAt, r.ReceivedAt = bytes.Clone(e.raw), time.UnixMilli(ts), now
	return r, ""
}

// number reads a JSON integer.
func number(raw []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}
