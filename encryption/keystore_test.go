package encryption

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"usher/invites"

	"github.com/rs/zerolog"
)

// TestKeysAreKeptWholeOrNotAtAll: the database fails between the save of an Olm session and the save of the key received by it. The
// next try saves the key.
func TestKeysAreKeptWholeOrNotAtAll(t *testing.T) {
	s := newStub(t)
	met := make(faults, 100)
	d, came, _ := newDevice(t, s, &fakeRooms{}, t.TempDir(), func(o *Options) { o.Log = zerolog.New(met) })
	a := newPerson(t, s, alice)
	for _, kind := range []string{"first message of a session", "later message"} {
		if err := d.fail(`CREATE TRIGGER broken BEFORE INSERT ON crypto_megolm_inbound_session BEGIN SELECT RAISE(ABORT, 'broken'); END`); err != nil {
			t.Fatal(err)
		}
		ev := a.say("hello", bot)
		<-met
		if _, err := d.Open(t.Context(), ev); !errors.Is(err, invites.ErrNoKey) {
			t.Fatalf("%s: got %v", kind, err)
		}
		if err := d.fail(`DROP TRIGGER broken`); err != nil {
			t.Fatal(err)
		}
		await(t, came)
		if opened, err := d.Open(t.Context(), ev); err != nil || text(opened) != "hello" {
			t.Errorf("%s: got %q, %v", kind, text(opened), err)
		}
	}
}

func (d *Device) fail(query string) error {
	_, err := d.o.Keys.DB.Exec(context.Background(), query)
	return err
}

// faults is a log with a signal for each failed save.
type faults chan struct{}

func (f faults) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("could not be taken in")) {
		f <- struct{}{}
	}
	return len(line), nil
}
