package room

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"

	"usher/exactjson"
)

// thirdPartyToken returns the token in third_party_invite.signed, and whether it is a string.
func thirdPartyToken(tpi exactjson.Value) (string, bool) { return tpi.Get("signed").Get("token").Str() }

// authorizeThirdParty is 5.4.1: an invitation taken up by somebody with a third-party identifier.
func (s rules) authorizeThirdParty(a *Action, tpi exactjson.Value) Result {
	// 5.4.1.1. The target is banned: reject.
	m, known := s.Membership(a.Target)
	if !known {
		return unknown(MemberKey(a.Target))
	}
	if isBanned(m) {
		return deny(RuleThirdPartyBanned, membershipEvidence(a.Target, m, leave))
	}
	// 5.4.1.2. There is no signed: reject.
	signed := tpi.Get("signed")
	if !signed.Exists() {
		return deny(RuleThirdPartyNoSigned, Evidence{})
	}
	// 5.4.1.3. signed has no mxid or no token: reject.
	if !signed.Get("mxid").Exists() || !signed.Get("token").Exists() {
		return deny(RuleThirdPartyNoFields, Evidence{})
	}
	// 5.4.1.4. mxid is not the state key: reject.
	if mxid, _ := signed.Get("mxid").Str(); mxid != string(a.Target) {
		return deny(RuleThirdPartyMXIDMismatch, Evidence{User: a.Target, Found: mxid, Wanted: string(a.Target)})
	}
	// 5.4.1.5. There is no m.room.third_party_invite event for the token: reject.
	token, ok := thirdPartyToken(tpi)
	key := Key{TypeThirdParty, token}
	if !ok {
		return deny(RuleThirdPartyTokenUnknown, Evidence{})
	}
	e, known := s.Event(key)
	if !known {
		return unknown(key)
	}
	if e == nil {
		return deny(RuleThirdPartyTokenUnknown, Evidence{Key: key})
	}
	// 5.4.1.6. The sender is not the sender of the m.room.third_party_invite event: reject.
	if e.Sender != a.Sender {
		return deny(RuleThirdPartySenderMismatch, Evidence{Key: key, User: a.Sender, Found: string(a.Sender), Wanted: string(e.Sender)})
	}
	// 5.4.1.7. Any signature matches any of the event's public keys: allow. 5.4.1.8. Otherwise, reject.
	if !signedByAny(signed, publicKeys(parseContent(e))) {
		return deny(RuleThirdPartyBadSignature, Evidence{Key: key})
	}
	return allow(RuleThirdParty, Evidence{Key: key, User: a.Target})
}

// publicKeys collects public_key and public_keys, without keys of other kinds than Ed25519.
func publicKeys(content exactjson.Value) []ed25519.PublicKey {
	candidates := []exactjson.Value{content.Get("public_key")}
	if list := content.Get("public_keys"); list.Kind == exactjson.Array {
		for _, item := range list.Items {
			candidates = append(candidates, item.Get("public_key"))
		}
	}
	var keys []ed25519.PublicKey
	for _, n := range candidates {
		if key, ok := decodeBase64(n); ok && len(key) == ed25519.PublicKeySize {
			keys = append(keys, key)
		}
	}
	return keys
}

// signedByAny checks a signed JSON object (https://spec.matrix.org/latest/appendices/#checking-for-a-signature), whoever
// the signing servers are: the keys tell which servers were trusted.
func signedByAny(signed exactjson.Value, keys []ed25519.PublicKey) bool {
	body := signed
	body.Items = slices.DeleteFunc(slices.Clone(signed.Items), func(m exactjson.Member) bool {
		return m.Key == "signatures" || m.Key == "unsigned"
	})
	message := exactjson.AppendCanonical(nil, body)
	for _, server := range objectItems(signed.Get("signatures")) {
		for _, signature := range objectItems(server.Value) {
			raw, ok := decodeBase64(signature.Value)
			if !ok || len(raw) != ed25519.SignatureSize || !strings.HasPrefix(signature.Key, "ed25519:") {
				continue
			}
			for _, key := range keys {
				if ed25519.Verify(key, message, raw) {
					return true
				}
			}
		}
	}
	return false
}

func objectItems(n exactjson.Value) []exactjson.Member {
	if n.Kind != exactjson.Object {
		return nil
	}
	return n.Items
}

// decodeBase64 reads unpadded Base64 in the standard or the URL-safe alphabet
// (https://spec.matrix.org/latest/client-server-api/#mroomthird_party_invite); padding is forgiven.
func decodeBase64(n exactjson.Value) ([]byte, bool) {
	s, ok := n.Str()
	if !ok || strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	raw, err := base64.RawStdEncoding.DecodeString(s)
	return raw, err == nil
}
