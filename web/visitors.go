package web

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Visitors finds the addresses of browsers behind reverse proxies.
type Visitors struct {
	Proxies []netip.Prefix // whose X-Forwarded-For is believed
	Relay   string         // the secret of the processes
}

// Address returns the address of a browser: the nearest one that is no proxy's. A socket of the machine is a proxy's. For IPv6 it is the
// network that one household has.
func (v Visitors) Address(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	nearest := peer.Addr().Unmap()
	trusted := !nearest.IsValid() || v.Relay != "" && Relayed(r, v.Relay)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && (trusted || v.proxy(nearest)); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		nearest, trusted = hop.Unmap(), false
	}
	if nearest.Is6() {
		network, _ := nearest.WithZone("").Prefix(64)
		return network.Addr()
	}
	return nearest
}

func (v Visitors) proxy(address netip.Addr) bool {
	for _, network := range v.Proxies {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// Meters bounds how often something happens for each key apart.
type Meters[K comparable] struct {
	every time.Duration // one more each
	burst int

	mu   sync.Mutex
	each *lru.LRU[K, *rate.Limiter]
}

// maxMeters bounds the memory of a limit. The key with the oldest count is forgotten first.
const maxMeters = 20000

// NewMeters makes a limit of one more each while, and of a burst at most.
func NewMeters[K comparable](every time.Duration, burst int) *Meters[K] {
	each, _ := lru.NewLRU[K, *rate.Limiter](maxMeters, nil) // fails for a size of 0 only
	return &Meters[K]{every: every, burst: burst, each: each}
}

// Take counts n, and reports whether that is within the limit.
func (m *Meters[K]) Take(key K, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, known := m.each.Get(key)
	if !known {
		one = rate.NewLimiter(rate.Every(m.every), m.burst)
		m.each.Add(key, one)
	}
	return one.AllowN(time.Now(), n)
}

// Spent reports whether nothing is left, without counting.
func (m *Meters[K]) Spent(key K) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, known := m.each.Peek(key)
	return known && one.Tokens() < 1
}
