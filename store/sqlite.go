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

// sqliteRows is how many rows one statement writes.
const sqliteRows = 8

// openSQLite takes the file for this process and opens one connection that writes and some that read.
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
	g := &group{handle: handle{db: s.raw}}
	if err := g.prepare(ctx, writes()...); err != nil {
		return sqliteOpenError(err)
	}
	s.write = g
	s.reads = handle{db: s.raw}
	if file.path != "" { // what is in memory has one connection only
		readers := max(1, cfg.MaxOpenConns-1)
		if s.reads.db, err = s.openHandle(file.dsn(reading), readers, readers); err != nil {
			return err
		}
		s.reads.db.SetConnMaxIdleTime(time.Minute) // to open one costs as much as many reads
	}
	return s.reads.prepare(ctx, reads()...)
}

// openHandle opens a pool that keeps its connections.
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

// takeFile creates the file, for this user alone, and locks it against other processes, whatever name they know it by.
// The operating system drops the lock with the process, however it ends.
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

// sqliteOpenError sorts what SQLite says while it is opened.
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

// sqliteFile is where a database lives.
type sqliteFile struct {
	path  string     // empty: in memory
	query url.Values // what the operator asked for besides
}

// ours are the settings that promises hang on: what the uri says of them is ignored.
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
		return wrong(errors.New("a % in the path that is no escape"))
	}
	if path == ":memory:" || query.Get("mode") == "memory" {
		return sqliteFile{query: query}, nil
	}
	if path == "" || strings.HasSuffix(path, "/") {
		return wrong(errors.New("the uri names no file"))
	}
	return sqliteFile{path: path, query: query}, nil
}

// access is how a file is opened.
type access int

const (
	writing access = iota
	reading
	patient // to write, in transactions that others may have to wait for
)

// dsn words the file for the driver.
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
	// Written back after 32 MiB, not after 4: pages that are written again and again, as indexes are, are then written back once.
	for _, p := range []string{"foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(8000)", wait} {
		q.Add("_pragma", p)
	}
	switch a {
	case reading:
		q.Add("_pragma", "query_only(1)")
	case writing:
		q.Set("_txlock", "immediate")
	case patient:
		q.Set("_time_format", "sqlite") // the library keeps times as SQLite's own functions read them
	}
	if f.path == "" {
		return "file::memory:?" + q.Encode()
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(f.path)}).EscapedPath() + "?" + q.Encode()
}

// reads are the statements to keep compiled where nothing is written.
func reads() []string {
	return []string{selectWaiting, selectReceived, selectRedacted, selectChanges, selectInviting, selectDue, selectCreate, selectAudit, selectQuota, selectPending, selectPendingOf, selectHistory,
		selectUnchecked, selectOverdue, selectToRemind, selectChildren, selectPendingBy}
}

// writes are the statements to keep compiled where all writes go through.
func writes() []string {
	list := []string{savepoint, rollbackTo, release, updateRedacted, updateAnswer, updateHandled, updateClaimed,
		selectPendingOf, selectAsked, selectWithdrawn, selectEnding, insertEntry, insertExpiry, endEntry}
	for _, m := range []multi{insertInbox, insertInvitation, insertAudit, updateSettled} {
		for k := 0; 1<<k <= sqliteRows; k++ {
			list = append(list, m.texts[k])
		}
	}
	return list
}
