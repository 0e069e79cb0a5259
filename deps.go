//go:build deps

package main

import (
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/riverqueue/river"
	_ "github.com/riverqueue/river/riverdriver/riverpgxv5"
	_ "github.com/riverqueue/river/riverdriver/riversqlite"
	_ "github.com/riverqueue/river/rivermigrate"
	_ "github.com/rs/zerolog"
	_ "github.com/tidwall/gjson"
	_ "go.mau.fi/util/dbutil"
	_ "go.mau.fi/zeroconfig"
	_ "golang.org/x/net/html"
	_ "gopkg.in/yaml.v3"
	_ "maunium.net/go/mautrix"
	_ "maunium.net/go/mautrix/appservice"
	_ "maunium.net/go/mautrix/crypto/cryptohelper"
	_ "modernc.org/sqlite"
)
