package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteRows is the most rows of one statement.
const sqliteRows = 8

// openSQLite locks the file and opens one writing connection and some reading ones.
func (s *db) openSQLite(ctx context.Context, cfg Config) error {
	file, err := parseSQLite(cfg.URI)
	if err != nil {
		return err
	}
	if file.path != "" {
		if err := s.takeFile(file.path); err != nil {
			return err
		}
	}
	if s.raw, err = s.openHandle(file.dsn(writing), 1, 1); err != nil {
		return err
	}
	if err := s.raw.PingContext(ctx); err != nil {
		return sqliteOpenError(err)
	}
	if err := s.upgrade(ctx, schema().Finish()); err != nil {
		return sqliteOpenError(err)
	}
	g := &group{handle: handle{db: s.raw, costs: &s.costs}, maxRows: sqliteRows}
	if err := g.prepare(ctx, writes()...); err != nil {
		return sqliteOpenError(err)
	}
	s.write = g
	s.reads = handle{db: s.raw, costs: &s.costs}
	if file.path != "" { // a database in memory has one connection only
		readers := max(1, cfg.MaxOpenConns-1)
		if s.reads.db, err = s.openHandle(file.dsn(reading), readers, readers); err != nil {
			return err
		}
		s.reads.db.SetConnMaxIdleTime(time.Minute) // opening a connection costs as much as many reads
	}
	if err := s.reads.prepare(ctx, reads()...); err != nil {
		return err
	}
	return s.chainAll(ctx)
}

// openHandle opens a pool of connections.
func (s *db) openHandle(dsn string, open, idle int) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURI, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(open)
	db.SetMaxIdleConns(idle)
	s.onClose(db.Close)
	return db, nil
}

// takeFile creates the file, readable by this user alone, and locks it against other processes, under any name of the file. The
// operating system drops the lock at any end of the process.
func (s *db) takeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	lock, err := lockFile(real + ".lock")
	if errors.Is(err, errHeld) {
		return fmt.Errorf("%w: another Usher has %s open", ErrLocked, path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	s.onClose(lock.Close)
	return nil
}

// sqliteOpenError classifies an error of SQLite at the opening.
func sqliteOpenError(err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// sqliteFile is the place of a database.
type sqliteFile struct {
	path  string     // empty: in memory
	query url.Values // the settings in the URI
}

// ours are the settings behind the promises. The URI cannot change them.
var ours = []string{"foreign_keys", "journal_mode", "synchronous", "busy_timeout", "wal_autocheckpoint", "query_only", "locking_mode"}

// parseSQLite reads a plain path, a file: URI, or :memory:.
func parseSQLite(uri string) (sqliteFile, error) {
	wrong := func(err error) (sqliteFile, error) { return sqliteFile{}, fmt.Errorf("%w: %w", ErrURI, err) }
	rest, isURI := strings.CutPrefix(uri, "file:")
	switch {
	case uri == "":
		return wrong(errors.New("the uri is empty"))
	case uri == ":memory:":
		return sqliteFile{}, nil
	case !isURI && strings.Contains(uri, "://"):
		return wrong(errors.New("a sqlite database is a path or a file: URI"))
	case !isURI:
		return sqliteFile{path: uri}, nil
	}
	path, rawQuery, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return wrong(errors.New("the part after ? can't be read"))
	}
	if host, ok := strings.CutPrefix(path, "//"); ok {
		var abs string
		host, abs, _ = strings.Cut(host, "/")
		if host != "" && host != "localhost" {
			return wrong(errors.New("file:// takes an absolute path: file:///data/usher.db"))
		}
		path = "/" + abs
	}
	if path, err = url.PathUnescape(path); err != nil {
		return wrong(errors.New("the path has an invalid % escape"))
	}
	if path == ":memory:" || query.Get("mode") == "memory" {
		return sqliteFile{query: query}, nil
	}
	if path == "" || strings.HasSuffix(path, "/") {
		return wrong(errors.New("the uri names no file"))
	}
	return sqliteFile{path: path, query: query}, nil
}

// access is a way to open a file.
type access int

const (
	writing access = iota
	reading
	patient // to write, in long transactions
)

// dsn returns the data source name for the driver.
func (f sqliteFile) dsn(a access) string {
	q := url.Values{}
	for _, p := range f.query["_pragma"] {
		isOurs := func(name string) bool { return strings.Contains(strings.ToLower(p), name) }
		if p != "" && !slices.ContainsFunc(ours, isOurs) {
			q.Add("_pragma", p)
		}
	}
	wait := "busy_timeout(5000)"
	if a == patient {
		wait = "busy_timeout(60000)"
	}
	// A checkpoint after 32 MiB instead of 4 MiB writes often changed pages back once, such as indexes.
	for _, p := range []string{"foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(8000)", wait} {
		q.Add("_pragma", p)
	}
	switch a {
	case reading:
		q.Add("_pragma", "query_only(1)")
	case writing:
		q.Set("_txlock", "immediate")
	case patient:
		q.Set("_time_format", "sqlite") // the library compares times with SQLite's functions
	}
	if f.path == "" {
		return "file::memory:?" + q.Encode()
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(f.path)}).EscapedPath() + "?" + q.Encode()
}

// reads are the statements kept compiled by the reading connections.
func reads() []string {
	return []string{selectWaitingAfter, selectWaitingIn, selectReceived, selectRedacted, selectChanges, selectInviting, selectDue, selectUnsent.texts[0], selectCreate, selectQuota, selectPending, selectPendingOf, selectHistory,
		selectUnchecked, selectOverdue, selectToRemind, selectChildren, selectPendingBy}
}

// writes are the statements kept compiled by the writing connections.
func writes() []string {
	list := []string{savepoint, rollbackTo, release, updateRedacted, updateAnswer, updateClaimed,
		selectPendingOf, selectAsked, selectWithdrawn, selectEnding, insertEntry, insertExpiry, endEntry, lockChain, moveChain, selectDecided, selectUnchained}
	for _, m := range []multi{insertInbox, updateHandled, insertInvitation, insertAudit, updateSettled} {
		for k := 0; 1<<k <= sqliteRows; k++ {
			list = append(list, m.texts[k])
		}
	}
	return list
}
