// Yardstick is what Usher is measured against: an application service that does as little as can be done.
//
// As limit it reads a transaction, checks that it is JSON and answers; a command in it is carried out by one request, nothing
// is decided, recorded or replied. As durable it commits what a command needs to survive before it answers. As mautrix it is
// the library's own application service with handlers that do nothing.
package main

import (
	"bytes"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/tidwall/gjson"
	_ "modernc.org/sqlite"
)

func main() {
	kind := flag.String("kind", "limit", "limit, durable, mautrix or post")
	listen := flag.String("listen", "127.0.0.1:0", "address")
	database := flag.String("database", "yardstick.db", "file of durable")
	homeserver := flag.String("homeserver", "", "where commands are carried out; empty: they are not")
	token := flag.String("token", "hush", "hs_token and as_token")
	count := flag.Int("count", 0, "of post: how many invitations")
	connections := flag.Int("connections", 8, "of post")
	flag.Parse()
	switch *kind {
	case "mautrix":
		log.Fatal(serveMautrix(*listen, *token))
	case "post":
		post(newPoster(*homeserver, *token, *connections), *count, *connections)
		return
	}
	y := &yardstick{token: "Bearer " + *token, pool: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	if *homeserver != "" {
		y.poster = newPoster(*homeserver, *token, 32)
	}
	if *kind == "durable" {
		var err error
		if y.insert, err = open(*database); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatal(http.ListenAndServe(*listen, y))
}

// open makes a database with one table of events, and returns the statement that adds one: each execution is a commit that
// is on the disk when it returns.
func open(file string) (*sql.Stmt, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE event (event_id TEXT PRIMARY KEY, raw BLOB NOT NULL)`); err != nil {
		return nil, err
	}
	return db.Prepare(`INSERT INTO event (event_id, raw) VALUES ($1, $2) ON CONFLICT DO NOTHING`)
}

type yardstick struct {
	token  string
	pool   sync.Pool
	insert *sql.Stmt // nil: nothing is kept
	poster *poster   // nil: nothing is done
}

var commandMark = []byte(`"body":"!invite `)

// ServeHTTP takes a transaction.
func (y *yardstick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		return // the question whether it is there
	}
	if r.Header.Get("Authorization") != y.token {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	buffer := y.pool.Get().(*bytes.Buffer)
	defer y.pool.Put(buffer)
	buffer.Reset()
	buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	if _, err := buffer.ReadFrom(r.Body); err != nil || !gjson.ValidBytes(buffer.Bytes()) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if bytes.Contains(buffer.Bytes(), commandMark) {
		if err := y.commands(buffer.Bytes()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}")
}

// commands keeps the commands of a transaction, one in each at most, and carries them out beside the answer.
func (y *yardstick) commands(body []byte) (err error) {
	gjson.GetBytes(body, "events").ForEach(func(_, event gjson.Result) bool {
		target, found := strings.CutPrefix(event.Get("content.body").Str, "!invite ")
		if !found {
			return true
		}
		if y.insert != nil {
			if _, err = y.insert.Exec(event.Get("event_id").Str, event.Raw); err != nil {
				return false
			}
		}
		if y.poster != nil {
			go y.poster.invite(event.Get("room_id").Str, target)
		}
		return true
	})
	return err
}

// poster makes requests with nothing but net/http.
type poster struct {
	base, token string
	client      *http.Client
}

func newPoster(homeserver, token string, connections int) *poster {
	return &poster{homeserver, "Bearer " + token, &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true,
	}}}
}

func (p *poster) invite(room, user string) {
	request, err := http.NewRequest(http.MethodPost, p.base+"/_matrix/client/v3/rooms/"+url.PathEscape(room)+"/invite?user_id=%40usher%3Abench.example",
		strings.NewReader(`{"user_id":"`+user+`"}`))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", p.token)
	response, err := p.client.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// post sends so many invitations as fast as it can.
func post(p *poster, count, connections int) {
	targets := make(chan string, count)
	for i := range count {
		targets <- fmt.Sprintf("@p%d-%d:bench.example", os.Getpid(), i)
	}
	close(targets)
	var working sync.WaitGroup
	for range connections {
		working.Go(func() {
			for target := range targets {
				p.invite("!post:bench.example", target)
			}
		})
	}
	working.Wait()
}
