package config

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// Settings replace values of the example config. An empty field keeps the value of the example.
type Settings struct {
	HomeserverAddress string
	Domain            string // everywhere in the example, in the permissions too
	Address           string // appservice.address
	Listen            string // appservice.listen
}

// ExampleDomain is homeserver.domain in the example config.
const ExampleDomain = "example.org"

// Example makes a config from the example with its comments. Each placeholder becomes a token of 32 bytes from random, in
// hexadecimal.
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
		{ExampleDomain, s.Domain},
	} {
		if put.new != "" && !strings.ContainsAny(put.new, " \t\r\n\"'#{}[],") { // Load reports the others
			text = strings.ReplaceAll(text, put.old, put.new)
		}
	}
	return []byte(text), nil
}

// WriteNew writes a new file, readable by its owner only. If the file exists, the error is fs.ErrExist and the file is not
// changed.
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
