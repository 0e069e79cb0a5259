package config

// Web is the listener for people's browsers.
type Web struct {
	Listen string `yaml:"listen"` // host:port or unix:/path; see Network. Empty: none
}

func (k checker) checkWeb(c *Config) {
	if c.Web.Listen != "" {
		k.checkListen("web.listen", c.Web.Listen)
		if c.Web.Listen == c.Appservice.Listen {
			k.fault("web.listen", wrong{"is appservice.listen as well", "give each a port of its own"})
		}
		if c.Metrics.Enabled && c.Web.Listen == c.Metrics.Listen {
			k.fault("web.listen", wrong{"is metrics.listen as well", "give each a port of its own"})
		}
	}
}
