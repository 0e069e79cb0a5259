package config

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// Settings are what an example config may be written with instead of the example's own values. Empty ones are left.
type Settings struct {
	HomeserverAddress string
	Domain            string // everywhere in the example, so that permissions fit too
	Address           string // appservice.address
	Listen            string // appservice.listen
}

// Example makes a config of the example: each token fresh from random (32 bytes each, in hex), settings put in, comments
// kept.
func Example(template []byte, random io.Reader, s Settings) ([]byte, error) {
	text := string(template)
	for strings.Contains(text, placeholder) {
		var token [32]byte
		if _, err := io.ReadFull(random, token[:]); err != nil {
			return nil, fmt.Errorf("config: random token: %w", err)
		}
		text = strings.Replace(text, placeholder, hex.EncodeToString(token[:]), 1)
	}
	example := Default()
	for _, put := range []struct{ old, new string }{
		{"http://localhost:8008", s.HomeserverAddress},
		{example.Appservice.Address, s.Address},
		{example.Appservice.Listen, s.Listen},
		{"example.org", s.Domain},
	} {
		if put.new != "" && !strings.ContainsAny(put.new, " \t\r\n\"'#{}[],") { // the rest is for Load to complain of
			text = strings.ReplaceAll(text, put.old, put.new)
		}
	}
	return []byte(text), nil
}

// WriteNew writes a file that only its owner may read. A file that exists already is left alone: the error is
// fs.ErrExist then.
func WriteNew(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = os.Remove(path) // half a file is worse than none
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
