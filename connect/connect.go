// Package connect opens connections by their settings in the config: the homeserver's client, the databases and the
// listening sockets. The running bot and the operator's commands (usher doctor, usher audit) both use it, so both
// read each setting in the same way.
//
// The caller closes each opened value. No function here starts a goroutine or sends a request to the homeserver.
package connect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"usher/config"
	"usher/homeserver"
	"usher/store"
)

// Errors with a remedy of their own. The operator's manual lists them with their exit codes.
var (
	ErrDatabase = errors.New("the database can't be used")
	ErrListen   = errors.New("can't listen for the homeserver")
)

// Homeserver makes the client. agent names the program in the User-Agent header; counters may be nil. The only
// error is a malformed address.
func Homeserver(cfg *config.Config, agent string, counters homeserver.Counters, log zerolog.Logger) (*homeserver.Client, error) {
	o := homeserver.ClientOptions{
		Homeserver: cfg.Homeserver.Address, Domain: cfg.Homeserver.Domain, Bot: id.UserID(cfg.BotUser()),
		Token: cfg.Appservice.ASToken.Reveal(), Timeout: cfg.Appservice.RequestTimeout, UserAgent: "usher/" + agent, Counters: counters, Log: log,
	}
	if cfg.Puppet.Enabled {
		o.PuppetToken = cfg.Puppet.ASToken.Reveal()
	}
	client, err := homeserver.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("homeserver.address: %w", err)
	}
	return client, nil
}

// Database returns the place of the main database, for store.Open and store.OpenReader.
func Database(cfg *config.Config) store.Config {
	return store.Config{
		Type: cfg.Database.Type, URI: cfg.Database.URI.Reveal(),
		MaxOpenConns: cfg.Database.MaxOpenConns, MaxIdleConns: cfg.Database.MaxIdleConns,
	}
}

// Reader opens the main database beside a running Usher, for reading. The error wraps ErrDatabase.
func Reader(ctx context.Context, cfg *config.Config) (*store.Reader, error) {
	reader, err := store.OpenReader(ctx, Database(cfg))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDatabase, err)
	}
	return reader, nil
}

// Keys returns the place of the database of encryption keys, for store.OpenKeys: encryption.database_uri, or by default a
// place beside the main database.
func Keys(cfg *config.Config) store.Config {
	place := store.KeysConfig(Database(cfg))
	if uri := cfg.Encryption.DatabaseURI.Reveal(); uri != "" {
		place.URI = uri
	}
	return place
}

// Place names a database without its password: an SQLite file by its absolute path, PostgreSQL by its type. The setting
// counts from the current folder, and an operator may call usher doctor in another folder than Usher runs in.
func Place(at store.Config) string {
	path, _, _ := strings.Cut(strings.TrimPrefix(at.URI, "file:"), "?")
	whole, err := filepath.Abs(path)
	if at.Type != config.TypeSQLite || err != nil {
		return at.Type
	}
	return whole
}

// Server makes the HTTP server of a listening socket. It closes connections that are too slow with a request; a handler that
// knows its client may set a later deadline for the body.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: slowest, ReadTimeout: slowest, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
}

// slowest is the longest time of a request of a client that has shown no token.
const slowest = 10 * time.Second

// socketMode lets the user and the group of the process connect to a Unix socket. The group is the homeserver's, if it runs as
// another user.
const socketMode = 0o660

// Listen opens the socket of a setting, host:port or unix:/path. It removes a Unix socket left behind by an earlier
// process. A socket in use, or a file of another kind at the path, is an error.
func Listen(setting string) (net.Listener, error) {
	network, address := config.Network(setting)
	if network != "unix" {
		return net.Listen(network, address)
	}
	switch there, err := os.Lstat(address); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case there.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there already, and is no socket", address)
	default:
		if conn, err := net.Dial(network, address); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("%s is in use", address)
		}
		if err := os.Remove(address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, socketMode); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}
