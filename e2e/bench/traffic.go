package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var serial atomic.Int64 // of transactions, events and people: none comes twice

// traffic makes the events of a transaction as Synapse formats them, about 400 bytes each.
func traffic(random *rand.Rand, count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = chat(random, i)
	}
	return list
}

// chat is an event that concerns nobody: 65 % messages, 20 % member events, 15 % reactions.
func chat(random *rand.Rand, i int) string {
	const words = "so the door stood open all night and nobody came through it which is odd since the party had been announced to everybody"
	user := fmt.Sprintf("@user%d:%s", random.IntN(500), domain)
	content, kind, key := "", "", ""
	switch p := i % 20; {
	case p < 13:
		kind = "m.room.message"
		content = fmt.Sprintf(`{"msgtype":"m.text","body":%q,"m.mentions":{}}`, words[:30+random.IntN(len(words)-30)])
	case p < 17:
		kind, key = "m.room.member", fmt.Sprintf(`"state_key":%q,`, user)
		content = fmt.Sprintf(`{"membership":"join","displayname":"User %d","avatar_url":"mxc://bench.example/abcdefghijklmnopqrstuvwx"}`, i)
	default:
		kind = "m.reaction"
		content = fmt.Sprintf(`{"m.relates_to":{"rel_type":"m.annotation","event_id":"$%043d","key":"👍"}}`, i)
	}
	return fmt.Sprintf(`{"type":%q,"room_id":%q,"sender":%q,"content":%s,%s"origin_server_ts":1763900000000,"unsigned":{"age":%d},"event_id":"$%043d","user_id":%q,"age":%d}`,
		kind, roomID(random.IntN(50)), user, content, key, random.IntN(1e5), random.Int64N(1e15), user, random.IntN(1e5))
}

// askerOf is somebody who asks in one room only: each person has a share of Usher.
func askerOf(room string) string { return "@asker-" + room[1:] }

// command is a message in a room, by somebody who asks in that room only.
func command(event, room, body string) string {
	return message(event, room, fmt.Sprintf(`{"msgtype":"m.text","body":%q,"m.mentions":{}}`, body))
}

// list is a command with a list of people in a file.
func list(event, room string, size int) string {
	return message(event, room, fmt.Sprintf(`{"msgtype":"m.file","body":"!invite","filename":"guests.txt","url":"mxc://%s/guests","info":{"size":%d}}`, domain, size))
}

func message(event, room, content string) string {
	asker, now := askerOf(room), time.Now().UnixMilli()
	return fmt.Sprintf(`{"type":"m.room.message","room_id":%q,"sender":%q,"content":%s,"origin_server_ts":%d,"unsigned":{"age":12},"event_id":%q,"user_id":%q,"age":12}`,
		room, asker, content, now, event, asker)
}

// confirmation is the reaction by which the sender of a command confirms its preview.
func confirmation(event, room, preview string) string {
	return fmt.Sprintf(`{"type":"m.reaction","room_id":%q,"sender":%q,"content":{"m.relates_to":{"rel_type":"m.annotation","event_id":%q,"key":"✅"}},"origin_server_ts":%d,"event_id":%q}`,
		room, askerOf(room), preview, time.Now().UnixMilli(), event)
}

// invitation is a command that invites somebody new; it returns whom.
func invitation(room string) (text, event, target string) {
	n := serial.Add(1)
	event, target = fmt.Sprintf("$%043d", n), fmt.Sprintf("@guest%d:%s", n, domain)
	return command(event, room, "!invite "+target), event, target
}

// transaction puts events together.
func transaction(events []string) []byte {
	return []byte(`{"events":[` + strings.Join(events, ",") + `]}`)
}

// pusher is the homeserver's connection to an application service.
type pusher struct {
	conn    net.Conn
	answers *bufio.Reader
	token   string
	out     []byte
}

func dial(s *subject) (*pusher, error) {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	return &pusher{conn: conn, answers: bufio.NewReader(conn), token: s.token}, nil
}

func (p *pusher) close() { _ = p.conn.Close() }

// push sends a transaction and waits for its 200.
func (p *pusher) push(body []byte) error {
	p.out = fmt.Appendf(p.out[:0], "PUT /_matrix/app/v1/transactions/%d HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", serial.Add(1), p.token, len(body))
	p.out = append(p.out, body...)
	if _, err := p.conn.Write(p.out); err != nil {
		return err
	}
	line, err := p.answers.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		return fmt.Errorf("answered %q, %v", line, err)
	}
	length := 0
	for {
		header, err := p.answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		if header = bytes.TrimSpace(header); len(header) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(header, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = p.answers.Discard(length)
	return err
}
