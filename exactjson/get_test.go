package exactjson

import (
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	raw := []byte(` {"\u0074ype":"m","content":{"membership":"join","n":-7,"f":1.5,"list":[1,"two",{"a":{}}],"twice":1,"twice":2},"CONTENT":{"membership":"ban"},"\u017fender":"@x:y"} `)
	for want, path := range map[string]string{
		"m": "type", "join": "content.membership", "": "content.n", "@x:y": "\u017fender",
	} {
		if got := Text(raw, strings.Split(path, ".")...); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"sender", "content.twice", "content.membership.x", "Content", "content.list.0", "content.n.x"} {
		keys := strings.Split(path, ".")
		if found := Find(raw, keys...); found != nil || Get(raw, keys...).Exists() {
			t.Errorf("%s is %s", path, found)
		}
	}
	if n := Get(raw, "content", "n").Int(); n != -7 || Get(raw, "content", "f").Int() != 0 {
		t.Errorf("a number is %d", n)
	}
	if Get(raw, "content").Exists() {
		t.Error("an object with a key twice is parsed")
	}
	var items, keys []string
	for item := range Items(raw, "content", "list") {
		items = append(items, string(item))
	}
	for key, value := range Members(raw) {
		keys = append(keys, key+"="+string(value[:1]))
	}
	if strings.Join(items, " ") != `1 "two" {"a":{}}` || strings.Join(keys, " ") != "type=\" content={ CONTENT={ \u017fender=\"" {
		t.Errorf("items %q, members %q", items, keys)
	}
	for item := range Items(raw, "content", "list") {
		if string(item) != "1" {
			t.Error("the iteration did not stop")
		}
		break
	}
	for _, bad := range []string{``, `{"type":"m"`, `{"type":"m"} x`, `{"type":"m",}`, `["type"]`, "{\"type\":\"m\",\"a\":\"\xff\"}"} {
		if Find([]byte(bad), "type") != nil {
			t.Errorf("%q has a type", bad)
		}
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ raw, path, want string }{
		{`{}`, "a", `{"a":1}`},
		{`{"a": 2 ,"b":"<"}`, "a", `{"a":1,"b":"<"}`},
		{`{"b":{"x":[1, 2]},"a":{"y":3}}`, "b.z", `{"b":{"x":[1, 2],"z":1},"a":{"y":3}}`},
		{`{"b":[]}`, "b.c.d", `{"b":{"c":{"d":1}}}`},
		{`{"A":2}`, "a", `{"A":2,"a":1}`},
		{`{"a":2,"a":3}`, "a", ``},
		{`{"b":{"a":2,"a":3}}`, "b.a", ``},
		{`[]`, "a", ``}, {`null`, "a", ``}, {`{`, "a", ``}, {``, "a", ``},
	} {
		if got := string(Set([]byte(c.raw), []byte("1"), strings.Split(c.path, ".")...)); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.path, c.raw, got, c.want)
		}
	}
}
