package exactjson

import "iter"

// Find returns the bytes of the value at a path of keys in a JSON object, without space around them, or nil where there is none. With
// no keys it is the whole value. The bytes are part of raw.
func Find(raw []byte, path ...string) []byte {
	start := SkipSpace(raw, 0)
	end := SkipValue(raw, start)
	if end == Bad || SkipSpace(raw, end) != len(raw) {
		return nil
	}
	for _, key := range path {
		from, to, times := 0, 0, 0
		Walk(raw, start, func(name []byte, i int) int {
			end := SkipValue(raw, i)
			if string(name) == key {
				from, to, times = i, end, times+1
			}
			return end
		})
		if times != 1 {
			return nil
		}
		start, end = from, to
	}
	return raw[start:end]
}

// Get returns the value at a path of keys in a JSON object. It does not exist where there is none, or where Parse fails on it.
func Get(raw []byte, path ...string) Value {
	v, _, _ := Parse(Find(raw, path...))
	return v
}

// Text returns the string at a path of keys in a JSON object, "" where there is none. Half of a surrogate pair becomes U+FFFD.
func Text(raw []byte, path ...string) string {
	found := Find(raw, path...)
	if len(found) == 0 || found[0] != '"' {
		return ""
	}
	return decode(string(found[1 : len(found)-1]))
}

// IsObject reports whether raw, which Find returned, is an object.
func IsObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// Items iterates over the array at a path of keys. The bytes of an item are part of raw.
func Items(raw []byte, path ...string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		array := Find(raw, path...)
		WalkArray(array, 0, func(i int) int {
			end := SkipValue(array, i)
			if end != Bad && !yield(array[i:end]) {
				return Bad
			}
			return end
		})
	}
}

// Members iterates over the object at a path of keys, in the order written, including a key present twice. The bytes of a value
// are part of raw.
func Members(raw []byte, path ...string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		object := Find(raw, path...)
		Walk(object, 0, func(key []byte, i int) int {
			end := SkipValue(object, i)
			if end != Bad && !yield(string(key), object[i:end]) {
				return Bad
			}
			return end
		})
	}
}

// Set returns the object raw with the value at a path of keys replaced or added, and all else as it was. Along the path, values which
// are no objects are replaced by objects. It returns nil where raw is no object or a key of the path is there twice.
func Set(raw, value []byte, path ...string) []byte {
	if raw = Find(raw); !IsObject(raw) {
		return nil
	}
	set := func(old []byte) []byte {
		if len(path) == 1 {
			return value
		}
		if !IsObject(old) {
			old = []byte("{}")
		}
		return Set(old, value, path[1:]...)
	}
	out := []byte{'{'}
	times := 0
	for key, member := range Members(raw) {
		if key == path[0] {
			member, times = set(member), times+1
		}
		if times > 1 || member == nil {
			return nil
		}
		out = append(append(AppendQuoted(out, key), ':'), member...)
		out = append(out, ',')
	}
	if times == 0 {
		out = append(append(AppendQuoted(out, path[0]), ':'), set(nil)...)
		out = append(out, ',')
	}
	out[len(out)-1] = '}'
	return out
}
