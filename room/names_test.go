package room

import "testing"

func TestCanonicalNames(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"evil.example", "evil.example"}, {"EVIL.example", "evil.example"}, {"evil.example.", "evil.example"}, {"evil.example..", "evil.example"},
		{"evil.example:8448", "evil.example"}, {"evil.example.:8448", "evil.example"}, {"evil.example:", "evil.example"},
		{"\u212Aevil.example", "kevil.example"}, {"*.Evil.example:84*", "*.evil.example"}, {"evil.example:*", "evil.example"},
		{"1.2.3.4", "1.2.3.4"}, {"0x01020304", "1.2.3.4"}, {"16909060", "1.2.3.4"}, {"1.2.772", "1.2.3.4"}, {"01.02.03.04.", "1.2.3.4"},
		{"[::FFFF:1.2.3.4]:1", "1.2.3.4"}, {"[2001:DB8:0::1]:8448", "[2001:db8::1]"}, {"[2001:db8::1]", "[2001:db8::1]"},
		{"1.2.3.4.5", "1.2.3.4.5"}, {"1_0.example", "1_0.example"}, {"", ""}, {":", ""}, {"[", "["},
	} {
		if got := CanonicalServer(tt.name); got != tt.want {
			t.Errorf("server %q: %q, want %q", tt.name, got, tt.want)
		}
		if again := CanonicalServer(tt.want); again != tt.want {
			t.Errorf("server %q becomes %q", tt.want, again)
		}
	}
	for _, tt := range []struct{ id, want string }{
		{"@Bob:EVIL.example:8448", "@bob:evil.example"}, {"@bob", "@bob"}, {"@spam*:*", "@spam*:*"}, {"!Abc", "!abc"},
		{"@*:8448", "@*"}, {"@*evil.example.:8448", "@*evil.example"}, {"@\u017Fpam:x", "@spam:x"}, {"@x:1.2.3.4:1", "@x:1.2.3.4"},
	} {
		if got := CanonicalID(tt.id); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.id, got, tt.want)
		}
	}
}

func TestIsIPLiteral(t *testing.T) {
	for name, want := range map[string]bool{
		"1.2.3.4": true, "1.2.3.4:8448": true, "1.2.3.4.": true, "[2001:db8::1]": true, "[::ffff:1.2.3.4]:1": true, "0x7f000001": true,
		"2130706433": true, "127.1": true, "0X7F.1": true, "1.2.3.256": true, "a.0x": true, "example.org": false, "1.example": false, "x": false, "": false,
		"1.2.3.4.example:80": false,
	} {
		if got := IsIPLiteral(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
