package operator

import (
	"context"

	"usher/room"
)

// mail connects to the mail server and logs in, as for a letter, and sends none.
func (d *doctor) mail(ctx context.Context) finding {
	if d.cfg.Mail.Server == "" {
		return finding{mark: unchecked, found: room.Say("doctor.mail.off")}
	}
	server := d.cfg.Mail.MailServer()
	if err := server.Check(ctx); err != nil {
		return finding{ill, room.Say("doctor.mail.failed", "server", server.Address(), "error", err), room.Say("remedy.mail")}
	}
	return finding{mark: well, found: room.Say("doctor.mail", "server", server.Address())}
}
