package store

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"
)

//go:embed keyupgrades/*.sql
var keyUpgrades embed.FS

// keySchema is the PostgreSQL schema of the keys, unless the URI names another by search_path.
const keySchema = "usher_keys"

// Keys is the database of encryption keys. It is apart from Store because its transactions may wait for the homeserver, and a commit
// of the inbox must not wait for them. mautrix's crypto store has its tables in it.
type Keys struct {
	DB   *dbutil.Database // for the library
	base db               // for opening and closing
}

// KeysConfig returns the place of the keys beside the main database: a file of their own, with "-keys" in its name, or the same
// PostgreSQL database, where OpenKeys uses a schema of their own.
func KeysConfig(main Config) Config {
	main.MaxOpenConns, main.MaxIdleConns = 4, 2
	file, err := parseSQLite(main.URI)
	if !strings.HasPrefix(main.Type, "sqlite") || err != nil || file.path == "" {
		return main
	}
	ext := filepath.Ext(file.path)
	main.URI = strings.TrimSuffix(file.path, ext) + "-keys" + ext
	return main
}

// OpenKeys opens the database of keys. Its errors are as for Open.
func OpenKeys(ctx context.Context, cfg Config) (*Keys, error) {
	dialect, err := dbutil.ParseDialect(cfg.Type)
	if err != nil {
		return nil, fmt.Errorf("%w: type %q is neither sqlite nor postgres", ErrURI, cfg.Type)
	}
	k := &Keys{base: db{dialect: dialect}}
	if dialect == dbutil.SQLite {
		err = k.openSQLite(cfg)
	} else {
		err = k.openPostgres(ctx, cfg)
	}
	if err == nil {
		err = k.upgrade(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Keys) openSQLite(cfg Config) error {
	file, err := parseSQLite(cfg.URI)
	if err != nil {
		return err
	}
	connections := cfg.MaxOpenConns
	if file.path == "" {
		connections = 1 // a database in memory has one connection only
	} else if err := k.base.takeFile(file.path); err != nil {
		return err
	}
	k.base.raw, err = k.base.openHandle(file.dsn(patient), connections, connections)
	return err
}

func (k *Keys) openPostgres(ctx context.Context, cfg Config) error {
	pc, err := pgxpool.ParseConfig(cfg.URI)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrURI, err)
	}
	pc.MaxConns = int32(cfg.MaxOpenConns)
	params := pc.ConnConfig.RuntimeParams
	schema := cmp.Or(params["search_path"], keySchema)
	params["search_path"] = schema
	params["synchronous_commit"] = "on"
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	k.base.onClose(func() error { pool.Close(); return nil })
	if err := pool.Ping(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	k.base.pool, k.base.raw = pool, stdlib.OpenDBFromPool(pool)
	k.base.onClose(k.base.raw.Close)
	return k.base.Exclusively(ctx, func(ctx context.Context) error {
		_, err := pool.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize())
		return err
	})
}

func (k *Keys) upgrade(ctx context.Context) (err error) {
	if k.DB, err = dbutil.NewWithDB(k.base.raw, k.base.dialect.String()); err != nil {
		return err
	}
	own := k.DB.Child("usher_version", dbutil.BuildUpgradeTable().WithFSPath(keyUpgrades, "keyupgrades").Finish(), nil)
	err = k.base.Exclusively(ctx, func(ctx context.Context) error { return own.Upgrade(ctx) })
	if errors.Is(err, dbutil.ErrUnsupportedDatabaseVersion) {
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return sqliteOpenError(err)
}

// Close closes the database.
func (k *Keys) Close() error { return k.base.Close() }

// Transaction runs fn in a transaction, carried by the context of fn.
func (k *Keys) Transaction(ctx context.Context, fn func(context.Context) error) error {
	return k.DB.DoTxn(ctx, nil, fn)
}

// Unfit reports whether an error means the database never takes the value, so another attempt is no use: PostgreSQL refuses
// NUL, too large numbers and texts, and long texts in an index.
func Unfit(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return strings.HasPrefix(pe.Code, "22") || strings.HasPrefix(pe.Code, "54")
	}
	return err != nil && strings.Contains(err.Error(), "failed to encode args[") // pgx has no error value for it
}

// Lock makes a transaction the only writer, before it reads a row to change.
func (k *Keys) Lock(ctx context.Context) error {
	_, err := k.DB.Exec(ctx, `UPDATE usher_lock SET n = n + 1`)
	return err
}

// EncryptedRooms returns the rooms known to be encrypted, with their settings.
func (k *Keys) EncryptedRooms(ctx context.Context) (map[id.RoomID]json.RawMessage, error) {
	rows, err := k.DB.Query(ctx, `SELECT room_id, settings FROM usher_encrypted_room`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	rooms := map[id.RoomID]json.RawMessage{}
	for rows.Next() {
		var r id.RoomID
		var settings []byte
		if err := (row{rows}).Scan(&r, &settings); err != nil {
			return nil, err
		}
		rooms[r] = settings
	}
	return rooms, rows.Err()
}

// SaveEncryptedRoom records an encrypted room. A room stays encrypted for good.
func (k *Keys) SaveEncryptedRoom(ctx context.Context, r id.RoomID, settings json.RawMessage) error {
	_, err := k.DB.Exec(ctx, `INSERT INTO usher_encrypted_room (room_id, settings) VALUES ($1, $2)
		ON CONFLICT (room_id) DO UPDATE SET settings = excluded.settings`, encode(r), encode(settings))
	return err
}

// ForgetSessions deletes all outbound sessions, and the list of devices with keys of such sessions. Rooms get new ones.
func (k *Keys) ForgetSessions(ctx context.Context) error {
	_, err := k.DB.Exec(ctx, `DELETE FROM crypto_megolm_outbound_session`)
	if err == nil {
		_, err = k.DB.Exec(ctx, `DELETE FROM crypto_megolm_outbound_session_shared`)
	}
	return err
}

// ForgetDevice deletes a device's identity and its sessions with other devices. Received keys stay, so earlier events stay
// readable.
func (k *Keys) ForgetDevice(ctx context.Context) error {
	return k.Transaction(ctx, func(ctx context.Context) error {
		for _, query := range []string{
			`DELETE FROM crypto_megolm_outbound_session`, `DELETE FROM crypto_megolm_outbound_session_shared`,
			`DELETE FROM crypto_olm_session`, `DELETE FROM crypto_olm_message_hash`, `DELETE FROM crypto_account`,
		} {
			if _, err := k.DB.Exec(ctx, query); err != nil {
				return err
			}
		}
		return nil
	})
}
