package config

import (
	"strings"
	"time"
)

func (k checker) checkEncryption(c *Config) {
	e := &c.Encryption
	if !e.Enabled {
		return
	}
	k.checkToken("encryption.pickle_key", e.PickleKey)
	k.checkWord("encryption.share_keys_with", e.ShareKeysWith, ShareAll, ShareSigned)
	k.checkWord("encryption.commands", e.Commands, CommandsAny, CommandsEncrypted, CommandsVerified)
	k.checkLength("encryption.wait_for_keys", e.WaitForKeys, 0, 24*time.Hour)
	uri, main := e.DatabaseURI.Reveal(), c.Database.URI.Reveal()
	isURL := strings.HasPrefix(uri, "postgres://") || strings.HasPrefix(uri, "postgresql://")
	switch {
	case uri == "":
	case isURL != (c.Database.Type == TypePostgres) && !strings.Contains(uri, "="):
		k.fault("encryption.database_uri", wrong{"is no database of database.type", "write one of the same type, or leave it empty"})
	case uri == main && c.Database.Type == TypeSQLite:
		k.fault("encryption.database_uri", wrong{"is database.uri as well", "name another file, or leave it empty"})
	}
}
