package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// Bounds of one look-up of other users' keys.
const (
	keyTime     = 2500 * time.Millisecond // while an event of a room waits for the keys
	lateTime    = 30 * time.Second        // while no event waits
	slowTime    = time.Minute             // how long a server without an answer is not asked while an event waits
	maxSlow     = 1000                    // servers remembered as slow
	parallelAsk = 16                      // requests of one look-up at a time
)

// fetcher asks the homeserver for other users' keys. It never runs under the device's lock. It makes one request for each server of the
// users, so the keys of one server's users arrive even if another server does not answer.
type fetcher struct {
	client *mautrix.Client
	now    func() time.Time

	mu   sync.Mutex
	slow map[string]time.Time // by server: when it may be asked again
}

// devices returns the devices and identities of users, and the servers without an answer within bound. It fails if the homeserver
// can't be asked.
func (f *fetcher) devices(ctx context.Context, users []id.UserID, bound time.Duration) (all keyAnswer, silent map[string]bool, err error) {
	all = keyAnswer{
		Devices: map[id.UserID]json.RawMessage{}, Master: map[id.UserID]json.RawMessage{},
		SelfSigning: map[id.UserID]json.RawMessage{}, UserSigning: map[id.UserID]json.RawMessage{},
	}
	servers := byServer(users)
	var mu sync.Mutex
	silent, err = f.each(ctx, slices.Collect(maps.Keys(servers)), bound, func(ctx context.Context, server string) (bool, error) {
		query := map[id.UserID][]string{}
		for _, user := range servers[server] {
			query[user] = []string{}
		}
		var got keyAnswer
		err := f.post(ctx, "query", map[string]any{"device_keys": query, "timeout": patience(bound)}, &got)
		if err != nil {
			return false, err
		}
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(all.Devices, only(got.Devices, query))
		maps.Copy(all.Master, only(got.Master, query))
		maps.Copy(all.SelfSigning, only(got.SelfSigning, query))
		maps.Copy(all.UserSigning, only(got.UserSigning, query))
		_, failed := got.Failures[server]
		return !failed, nil
	})
	if err == nil && len(silent) == len(servers) && len(servers) > 0 {
		err = context.DeadlineExceeded // the homeserver answers nothing at all
	}
	return all, silent, err
}

// oneTimeKeys claims a one-time key of each device, and returns the servers that did not answer within bound.
func (f *fetcher) oneTimeKeys(ctx context.Context, devices []*id.Device, bound time.Duration) (all claimAnswer, silent map[string]bool, err error) {
	all = claimAnswer{OneTime: map[id.UserID]map[id.DeviceID]json.RawMessage{}}
	wanted := map[string]map[id.UserID]map[id.DeviceID]id.KeyAlgorithm{}
	for _, device := range devices {
		server := device.UserID.Homeserver()
		if wanted[server] == nil {
			wanted[server] = map[id.UserID]map[id.DeviceID]id.KeyAlgorithm{}
		}
		if wanted[server][device.UserID] == nil {
			wanted[server][device.UserID] = map[id.DeviceID]id.KeyAlgorithm{}
		}
		wanted[server][device.UserID][device.DeviceID] = id.KeyAlgorithmSignedCurve25519
	}
	var mu sync.Mutex
	silent, err = f.each(ctx, slices.Collect(maps.Keys(wanted)), bound, func(ctx context.Context, server string) (bool, error) {
		var got claimAnswer
		err := f.post(ctx, "claim", map[string]any{"one_time_keys": wanted[server], "timeout": patience(bound)}, &got)
		if err != nil {
			return false, err
		}
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(all.OneTime, only(got.OneTime, wanted[server]))
		_, failed := got.Failures[server]
		return !failed, nil
	})
	return all, silent, err
}

// post makes a request for keys.
func (f *fetcher) post(ctx context.Context, what string, req, resp any) error {
	_, err := f.client.MakeRequest(ctx, http.MethodPost, f.client.BuildClientURL("v3", "keys", what), req, resp)
	return err
}

// patience returns the time, in milliseconds, for which the homeserver shall wait for another server.
func patience(bound time.Duration) int64 { return (bound - bound/5).Milliseconds() }

// each calls ask for servers side by side, and returns the servers without an answer. A server silent before is asked only
// if no event waits. A failure other than the end of the time is returned.
func (f *fetcher) each(
	ctx context.Context, servers []string, bound time.Duration, ask func(ctx context.Context, server string) (answered bool, err error),
) (silent map[string]bool, err error) {
	short, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	var (
		mu    sync.Mutex
		asked sync.WaitGroup
		slots = make(chan struct{}, parallelAsk)
	)
	silent = map[string]bool{}
	for _, server := range servers {
		if bound < lateTime && f.isSlow(server) {
			silent[server] = true
			continue
		}
		asked.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var answered bool
			failed := short.Err()
			if failed == nil {
				answered, failed = ask(short, server)
				f.note(server, answered)
			}
			late := failed != nil && short.Err() != nil
			mu.Lock()
			defer mu.Unlock()
			if !answered {
				silent[server] = true
			}
			if failed != nil && !late {
				err = errors.Join(err, failed)
			}
		})
	}
	asked.Wait()
	return silent, errors.Join(err, ctx.Err())
}

// isSlow reports whether a server did not answer a moment ago.
func (f *fetcher) isSlow(server string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now().Before(f.slow[server])
}

// note remembers whether a server answered. The bot's own server is always asked.
func (f *fetcher) note(server string, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if answered {
		delete(f.slow, server)
		return
	}
	if server == f.client.UserID.Homeserver() {
		return
	}
	if f.slow == nil || len(f.slow) >= maxSlow {
		f.slow = map[string]time.Time{}
	}
	f.slow[server] = f.now().Add(slowTime)
}

// byServer groups users by their servers.
func byServer(users []id.UserID) map[string][]id.UserID {
	servers := map[string][]id.UserID{}
	for _, user := range users {
		servers[user.Homeserver()] = append(servers[user.Homeserver()], user)
	}
	return servers
}
