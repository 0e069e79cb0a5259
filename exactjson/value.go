package exactjson

import "strconv"

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds. None is the kind of an absent value.
const (
	None Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// Value is one JSON value as a tree. The zero Value, of kind None, stands for an absent value.
type Value struct {
	Kind  Kind
	Raw   string   // the value as it was written, without space around it
	Items []Member // of an object, in the order written; of an array, with empty keys
	index index
}

// Member is a member of an object, or an item of an array.
type Member struct {
	Key string
	Value
}

// Exists reports whether there is a value.
func (v Value) Exists() bool { return v.Kind != None }

// Get returns a member of an object. It does not exist where v has no such member or is no object.
func (v Value) Get(key string) Value {
	if i := v.Find(key); i >= 0 {
		return v.Items[i].Value
	}
	return Value{}
}

// Find returns the index in Items of a member of an object, or -1.
func (v *Value) Find(key string) int {
	if v.Kind != Object {
		return -1
	}
	return v.index.find(v.Items, key)
}

// Str decodes a string. ok is false for any other value. Half of a surrogate pair becomes U+FFFD.
func (v Value) Str() (s string, ok bool) {
	if v.Kind != String {
		return "", false
	}
	return decode(v.Raw[1 : len(v.Raw)-1]), true
}

// Text decodes a string. It is empty for any other value.
func (v Value) Text() string {
	s, _ := v.Str()
	return s
}

// Texts decodes an array of strings. ok is false for any other value.
func (v Value) Texts() (list []string, ok bool) {
	if v.Kind != Array {
		return nil, false
	}
	list = make([]string, len(v.Items))
	for i, item := range v.Items {
		if list[i], ok = item.Str(); !ok {
			return nil, false
		}
	}
	return list, true
}

// Is reports whether v is the string s.
func (v Value) Is(s string) bool {
	got, ok := v.Str()
	return ok && got == s
}

// Int reads an integer of 64 bits. It is 0 for any other value, also for numbers with a fraction or an exponent.
func (v Value) Int() int64 {
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// largeObject is the number of members from which on an object gets an index.
const largeObject = 16

// index finds the members of a large object by key. It is nil for a small object: its members are searched in turn.
type index map[string]int32

// newIndex indexes members. ok is false if a key is there twice.
func newIndex(items []Member) (x index, ok bool) {
	if len(items) < largeObject {
		for i := range items {
			for j := range i {
				if items[i].Key == items[j].Key {
					return nil, false
				}
			}
		}
		return nil, true
	}
	x = make(index, len(items))
	for i := range items {
		x[items[i].Key] = int32(i)
	}
	return x, len(x) == len(items)
}

// find returns the index of a key in the members behind x, or -1.
func (x index) find(items []Member, key string) int {
	if x != nil {
		if i, ok := x[key]; ok {
			return int(i)
		}
		return -1
	}
	for i := range items {
		if items[i].Key == key {
			return i
		}
	}
	return -1
}
