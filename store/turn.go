package store

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	turnSpace = 0x7574                 // the first key of the lock on the device; the second is a hash of the keys' schema
	turnPoll  = 500 * time.Millisecond // how often it is asked for while another replica has it
	turnCheck = time.Second            // how often its session is tried
	// turnPause is how long after another replica lost it, it is left alone: one whose session broke stops at once, but not before.
	turnPause = time.Second
)

// Alone runs fn once no other replica on the same keys runs one, and ends fn's context when that is not sure any more. It calls
// elsewhere if another replica is there first. On SQLite none is. The error says why fn was ended, or why it never began.
func (k *Keys) Alone(ctx context.Context, elsewhere func(), fn func(context.Context)) error {
	if !k.Shared() {
		fn(ctx)
		return nil
	}
	conn, err := connect(ctx, k.base.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // and with it goes the lock
	if err := k.await(ctx, conn, elsewhere); err != nil {
		return err
	}
	turn, end := context.WithCancelCause(ctx)
	var mu sync.Mutex
	var timer *time.Timer
	mu.Lock()
	timer = time.AfterFunc(turnCheck, func() {
		mu.Lock()
		defer mu.Unlock()
		if err := ping(turn, conn); err != nil {
			end(err)
			return
		}
		timer.Reset(turnCheck)
	})
	mu.Unlock()
	fn(turn)
	err = context.Cause(turn)
	end(nil)
	timer.Stop()
	mu.Lock() // whoever uses the session is done
	defer mu.Unlock()
	return err
}

// await takes the lock as soon as it is free.
func (k *Keys) await(ctx context.Context, conn *pgx.Conn, elsewhere func()) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.schema))
	tick := time.NewTicker(turnPoll)
	defer tick.Stop()
	for waited := false; ; waited = true {
		held, err := patiently(ctx, bound, func(ctx context.Context) (held bool, err error) {
			err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, turnSpace, int32(h.Sum32())).Scan(&held)
			return held, err
		})
		if err != nil {
			return err
		}
		pause := tick.C
		switch {
		case held && !waited:
			return nil
		case held:
			pause = time.After(turnPause)
		case !waited:
			elsewhere()
		}
		select {
		case <-pause:
		case <-ctx.Done():
			return ctx.Err()
		}
		if held {
			return nil
		}
	}
}

// Shared reports whether other replicas may work with these keys.
func (k *Keys) Shared() bool { return k.base.pool != nil }

// Question is what one replica asks another.
type Question struct {
	ID   int64
	Text []byte
}

// Ask puts a question to whoever serves them, and returns its id. Withdraw ends it.
func (k *Keys) Ask(ctx context.Context, text []byte) (id int64, err error) {
	err = k.DB.QueryRow(ctx, `INSERT INTO usher_question (question) VALUES ($1) RETURNING id`, text).Scan(&id)
	return id, err
}

// Answered returns the answer to a question, nil as long as there is none.
func (k *Keys) Answered(ctx context.Context, id int64) (answer []byte, err error) {
	err = k.DB.QueryRow(ctx, `SELECT answer FROM usher_question WHERE id = $1`, id).Scan(&answer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // lost
	}
	return answer, err
}

// Withdraw drops a question, and those of replicas that died.
func (k *Keys) Withdraw(ctx context.Context, id int64) error {
	_, err := k.DB.Exec(ctx, `DELETE FROM usher_question WHERE id = $1 OR asked_at < now() - interval '5 minutes'`, id)
	return err
}

// Questions returns questions that wait for an answer, the oldest first.
func (k *Keys) Questions(ctx context.Context) (list []Question, err error) {
	rows, err := k.DB.Query(ctx, `SELECT id, question FROM usher_question WHERE answer IS NULL AND asked_at > now() - interval '1 minute' ORDER BY id LIMIT 100`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var q Question
		if err := rows.Scan(&q.ID, &q.Text); err != nil {
			return nil, err
		}
		list = append(list, q)
	}
	return list, rows.Err()
}

// Answer answers a question.
func (k *Keys) Answer(ctx context.Context, id int64, answer []byte) error {
	_, err := k.DB.Exec(ctx, `UPDATE usher_question SET answer = $2 WHERE id = $1`, id, answer)
	return err
}
