package links

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"usher/invites"
)

// Secret opens the page of a link. It is shown once and not kept.
type Secret string

// secretBytes is the length of a secret before its encoding: 144 bits.
const secretBytes = 18

func newSecret() Secret { return Secret(random(secretBytes)) }

// random returns random bytes in base64url.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// derive makes 32 bytes of a secret for one purpose. They do not tell the secret.
func (s Secret) derive(purpose string) []byte {
	sum := sha256.Sum256([]byte("usher link " + purpose + "\x00" + string(s)))
	return sum[:]
}

// Code is the code for a direct chat with the bot: as secret as the address of the page, and bound to the same link.
func (s Secret) Code() string {
	code := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.derive("code")[:16])
	var parts []string
	for ; len(code) > 5; code = code[5:] {
		parts = append(parts, code[:5])
	}
	return strings.Join(append(parts, code), "-")
}

// hashCode is the hash of a code as the store has it. People may type it in any case, with other signs between the groups.
func hashCode(code string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '2' && r <= '7' {
			return r
		}
		return -1
	}, strings.ToUpper(code))
	return hash("code", plain)
}

func hash(kind, text string) string {
	return base64.RawURLEncoding.EncodeToString(Secret(text).derive("hash of " + kind))
}

// pageHash is the hash of a page's secret as the store has it.
func (s Secret) pageHash() string { return hash("page", string(s)) }

func (s Secret) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.derive("knock")) }

// stored is the secret as the store keeps it.
func (s Secret) stored() invites.LinkSecret {
	public, _ := s.key().Public().(ed25519.PublicKey)
	return invites.LinkSecret{Page: s.pageHash(), Code: hashCode(s.Code()), Knock: base64.RawURLEncoding.EncodeToString(public)}
}

// knockPrefix begins the codes of knocks.
const knockPrefix = "usher."

// KnockCode is the reason of a knock by one user, good until a time. Everybody in the room can read it, and nobody else can use it.
func (s Secret) KnockCode(link int64, user id.UserID, until time.Time) string {
	signature := ed25519.Sign(s.key(), knockText(link, user, until.Unix()))
	return fmt.Sprintf("%s%d.%d.%s", knockPrefix, link, until.Unix(), base64.RawURLEncoding.EncodeToString(signature))
}

// knockText is the signed text of a code for a knock.
func knockText(link int64, user id.UserID, until int64) []byte {
	return fmt.Appendf(nil, "usher link knock\x00%d\x00%d\x00%s", link, until, user)
}

// knock is a code read from the reason of a knock.
type knock struct {
	link, until int64
	signature   []byte
}

// readKnock finds a code in the reason of a knock.
func readKnock(reason string) (k knock, ok bool) {
	for word := range strings.FieldsSeq(reason) {
		code, is := strings.CutPrefix(word, knockPrefix)
		parts := strings.Split(code, ".")
		if !is || len(parts) != 3 {
			continue
		}
		var errs [3]error
		k.link, errs[0] = strconv.ParseInt(parts[0], 10, 64)
		k.until, errs[1] = strconv.ParseInt(parts[1], 10, 64)
		k.signature, errs[2] = base64.RawURLEncoding.DecodeString(parts[2])
		if errs == [3]error{} {
			return k, true
		}
	}
	return knock{}, false
}

// by reports whether the code was made for a user with one of some public keys.
func (k knock) by(user id.UserID, keys []string) bool {
	for _, one := range keys {
		public, err := base64.RawURLEncoding.DecodeString(one)
		if err == nil && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, knockText(k.link, user, k.until), k.signature) {
			return true
		}
	}
	return false
}
