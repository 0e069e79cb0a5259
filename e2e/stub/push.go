package stub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// pusher pushes transactions as homeservers do: in order, each again until it is answered 200.
type pusher struct {
	mu      sync.Mutex
	urls    []string // a plain load balancer's backends
	turn    int
	token   string
	waiting []Event
	busy    bool
	serial  int
	taken   [][]byte // bodies answered 200
	slowest time.Duration
	refused int
	ctx     context.Context
	cancel  context.CancelFunc
}

// maxEvents is how many events go into one transaction, as on Synapse.
const maxEvents = 100

func (p *pusher) to(url, token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.urls, p.token = []string{url}, token
	p.ctx, p.cancel = context.WithCancel(context.Background())
}

func (p *pusher) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}

// events queues events for Usher.
func (p *pusher) events(events ...Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, events...)
	if !p.busy {
		p.busy = true
		go p.run()
	}
}

func (p *pusher) run() {
	for {
		p.mu.Lock()
		n := min(len(p.waiting), maxEvents)
		if n == 0 || p.ctx.Err() != nil {
			p.busy = false
			p.mu.Unlock()
			return
		}
		body, _ := json.Marshal(map[string]any{"events": p.waiting[:n]})
		p.waiting = p.waiting[n:]
		p.serial++
		id := fmt.Sprint("t", p.serial)
		p.mu.Unlock()
		p.until200(id, body)
	}
}

// until200 sends one transaction until it is taken.
func (p *pusher) until200(id string, body []byte) {
	for p.ctx.Err() == nil {
		start := time.Now()
		status, err := p.put(p.ctx, id, body)
		took := time.Since(start)
		p.mu.Lock()
		if err == nil && status == http.StatusOK {
			p.taken = append(p.taken, body)
			p.slowest = max(p.slowest, took)
			p.mu.Unlock()
			return
		}
		p.refused++
		p.mu.Unlock()
		pause := time.NewTimer(20 * time.Millisecond) // a real one waits longer
		select {
		case <-pause.C:
		case <-p.ctx.Done():
		}
		pause.Stop()
	}
}

func (p *pusher) put(ctx context.Context, id string, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p.mu.Lock()
	p.turn++
	url := p.urls[p.turn%len(p.urls)]
	p.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url+"/_matrix/app/v1/transactions/"+id, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Body.Close()
}

// PushTo has transactions go to several processes in turn, as a plain load balancer does.
func (s *Server) PushTo(urls ...string) {
	s.push.mu.Lock()
	defer s.push.mu.Unlock()
	s.push.urls = urls
}

// Put sends a transaction of the caller's making once, and returns the status of the answer.
func (s *Server) Put(ctx context.Context, id string, body []byte) (int, error) {
	return s.push.put(ctx, id, body)
}

// Again sends the nth transaction that was taken once more, under an id of its own.
func (s *Server) Again(ctx context.Context, nth int) (int, error) {
	s.push.mu.Lock()
	body := s.push.taken[nth]
	s.push.mu.Unlock()
	return s.push.put(ctx, fmt.Sprint("again", nth), body)
}

// Refused counts the transactions that were not answered 200.
func (s *Server) Refused() int {
	s.push.mu.Lock()
	defer s.push.mu.Unlock()
	return s.push.refused
}

// Taken counts the transactions answered 200, and returns the longest time that one took.
func (s *Server) Taken() (n int, slowest time.Duration) {
	s.push.mu.Lock()
	defer s.push.mu.Unlock()
	return len(s.push.taken), s.push.slowest
}
