package config

import (
	"fmt"
	"strings"
)

// AntispamModule returns the lines for Synapse's homeserver.yaml that have its module ask Usher before invitations. The token is not in them: they
// are printed where people and logs can see them.
func AntispamModule(c *Config) string {
	base := strings.TrimRight(c.Appservice.Address, "/")
	if c.Antispam.At == AtWeb {
		base = "http://" + c.Web.Listen
	}
	callbacks := []string{"user_may_invite", "user_may_send_3pid_invite", "user_may_join_room"}
	if c.Inbound.Enabled {
		callbacks = append(callbacks, "federated_user_may_invite")
	}
	var text strings.Builder
	fmt.Fprintf(&text, "modules:\n  - module: synapse_http_antispam.HTTPAntispam\n    config:\n      base_url: %s/_usher/antispam\n", base)
	fmt.Fprintf(&text, "      authorization: \"\" # antispam.token\n      do_ping: true\n      enabled_callbacks: [%s]\n      fail_open:\n", strings.Join(callbacks, ", "))
	for _, callback := range callbacks {
		fmt.Fprintf(&text, "        %s: %t\n", callback, c.Antispam.FailsOpen(callback))
	}
	return text.String()
}
