package harness

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postmaster is a PostgreSQL server on this machine that a test stops and starts again.
type Postmaster struct {
	uri, data string
	exe       string
	args      []string
	as        *syscall.SysProcAttr
}

// FindPostmaster finds the server of a database.
func FindPostmaster(ctx context.Context, uri string) (*Postmaster, error) {
	db, err := sql.Open("postgres", uri)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	p := &Postmaster{uri: uri}
	if err := db.QueryRowContext(ctx, "SHOW data_directory").Scan(&p.data); err != nil {
		return nil, err
	}
	pid, err := p.pid()
	if err != nil {
		return nil, err
	}
	if p.exe, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
		return nil, err
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, err
	}
	for _, arg := range bytes.Split(bytes.TrimRight(line, "\x00"), []byte{0})[1:] {
		p.args = append(p.args, string(arg))
	}
	info, err := os.Stat(p.data)
	if err != nil {
		return nil, err
	}
	p.as = &syscall.SysProcAttr{Setpgid: true}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Getuid() {
		p.as.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	return p, nil
}

// pid reads the server's process id.
func (p *Postmaster) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// Stop ends the server and waits until it is gone: in order, or abruptly as a crash does.
func (p *Postmaster) Stop(ctx context.Context, abruptly bool) error {
	pid, err := p.pid()
	if err != nil {
		return err
	}
	how := syscall.SIGINT // fast: it ends its connections
	if abruptly {
		how = syscall.SIGQUIT
	}
	if err := syscall.Kill(pid, how); err != nil {
		return err
	}
	return p.until(ctx, func() bool {
		_, err := p.pid()
		return errors.Is(err, os.ErrNotExist)
	})
}

// Start starts it again, as it was, and waits until it answers. Who started it first ends it.
func (p *Postmaster) Start(ctx context.Context) error {
	cmd := exec.Command(p.exe, p.args...)
	cmd.SysProcAttr, cmd.Dir = p.as, p.data
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	db, err := sql.Open("postgres", p.uri)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return p.until(ctx, func() bool { return db.PingContext(ctx) == nil })
}

// until asks again and again whether something is so.
func (p *Postmaster) until(ctx context.Context, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the PostgreSQL server at %s: %w", p.data, ctx.Err())
		}
	}
	return nil
}
