package letters

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// hashBytes is the length of a keyed hash before its encoding.
const hashBytes = 18

// keyed is a hash that only this Usher can make.
func (s *Letters) keyed(purpose, text string) string {
	mac := hmac.New(sha256.New, []byte(s.Key))
	mac.Write([]byte("usher letter " + purpose + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:hashBytes])
}

// mailbox is an address as it counts: the case of its letters does not matter, nor does what stands behind a plus sign, by which one mailbox has many
// addresses.
func mailbox(address string) string {
	local, server := apart(strings.ToLower(address))
	if box, _, tagged := strings.Cut(local, "+"); tagged && box != "" {
		local = box
	}
	return local + "@" + server
}

func apart(address string) (local, server string) {
	at := strings.LastIndexByte(address, '@')
	return address[:max(at, 0)], address[at+1:]
}

func (s *Letters) hashOf(address string) string { return s.keyed("address", mailbox(address)) }

func (s *Letters) domainOf(address string) string {
	_, server := apart(strings.ToLower(address))
	return s.keyed("domain", server)
}

// token is the secret in the address of the page by which a recipient ends all letters. It needs no row, so it works as long as the key stays.
func (s *Letters) token(hash string) string { return hash + s.keyed("stop", hash) }

// hashIn returns the hash of the address in a token.
func (s *Letters) hashIn(token string) (hash string, ok bool) {
	size := base64.RawURLEncoding.EncodedLen(hashBytes)
	if len(token) != 2*size {
		return "", false
	}
	return token[:size], hmac.Equal([]byte(token), []byte(s.token(token[:size])))
}

// Masked is an address as others may see it: enough to tell one's own letters apart.
func Masked(address string) string {
	local, server := apart(address)
	if local == "" {
		return "…"
	}
	return local[:min(2, len(local)-1)] + "…@" + server
}
