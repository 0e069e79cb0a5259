package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// decoder reads a YAML tree into a Go value of the same shape. It does not stop at a fault: it records the fault with its
// place and goes on.
type decoder struct {
	*findings
	variables map[*yaml.Node]string // nodes of the environment, with the name of their variable
}

// decode fills v from a node; line is the line of its key. An empty node leaves the default.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, line int) {
	d.places[path] = place{line: line, variable: d.variables[n]}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == 0 || n.Tag == "!!null" {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Slice:
		d.decodeSlice(n, v, path)
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *decoder) decodeStruct(n *yaml.Node, v reflect.Value, path string) {
	for key, value := range d.pairs(n, path) {
		field, ok := fieldByKey(v, key.Value)
		at := join(path, key.Value)
		if !ok {
			// The text after a colon may be a secret: the operator forgot the space between name and value.
			name, _, _ := strings.Cut(key.Value, ":")
			at = join(path, name)
			d.places[at] = place{line: key.Line, variable: d.variables[key]}
			d.fault(at, wrong{"is not known", nearest(name, keysOf(v.Type()))})
			continue
		}
		d.decode(value, field, at, key.Line)
	}
}

func (d *decoder) decodeMap(n *yaml.Node, v reflect.Value, path string) {
	m := reflect.MakeMap(v.Type())
	for key, value := range d.pairs(n, path) {
		at := fmt.Sprintf("%s[%q]", path, key.Value)
		if value.Tag == "!!null" {
			d.places[at] = place{line: key.Line, variable: d.variables[key]}
			d.fault(at, wrong{"has no value", "write one, or remove the line"})
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, elem, at, key.Line)
		m.SetMapIndex(reflect.ValueOf(key.Value), elem)
	}
	v.Set(m)
}

func (d *decoder) decodeSlice(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(path, wrong{"is no list", "write [a, b], or one item a line, each after a dash"})
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.decode(item, list.Index(i), at, item.Line)
		if item.Tag == "!!null" {
			d.fault(at, wrong{"is empty", "write a value, or remove the dash"})
		}
	}
	v.Set(list)
}

func (d *decoder) decodeScalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(path, wrong{"is no single value", "write " + shape(v)})
		return
	}
	if reader, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := reader.UnmarshalText([]byte(n.Value)); err != nil {
			d.fault(path, asWrong(err, shape(v)))
		}
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		length, err := time.ParseDuration(n.Value)
		if err != nil {
			d.fault(path, wrong{quote(n.Value) + " is no length of time", "write a number with its unit, such as 30s, 10m or 24h"})
		}
		v.SetInt(int64(length))
		return
	}
	switch tag := n.ShortTag(); {
	case v.Kind() == reflect.String && tag == "!!str":
		v.SetString(n.Value)
	case v.Kind() == reflect.String: // a number, true, a date: YAML has taken the text for something else
		d.fault(path, wrong{"is not text as it stands", "put it in quotes"})
	case v.Kind() == reflect.Bool && tag == "!!bool", v.Kind() == reflect.Int && tag == "!!int":
		if err := n.Decode(v.Addr().Interface()); err != nil {
			d.fault(path, wrong{"is out of range", "write " + shape(v)})
		}
	default:
		d.fault(path, wrong{quote(n.Value) + " is not what belongs here", "write " + shape(v)})
	}
}

// pairs yields the keys and values of a mapping. A second value of the same key is a fault and left out.
func (d *decoder) pairs(n *yaml.Node, path string) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			d.fault(path, wrong{"is no section", "write its settings below it, each as “name: value” and further to the right"})
			return
		}
		lines := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if first, twice := lines[key.Value]; twice {
				at := join(path, key.Value)
				d.faults = append(d.faults, Fault{Path: at, Line: key.Line, Variable: d.variables[key],
					Problem: fmt.Sprintf("is there twice, first on line %d", first), Fix: "remove one of the two"})
				continue
			}
			lines[key.Value] = key.Line
			if !yield(key, n.Content[i+1]) {
				return
			}
		}
	}
}

// shape describes a scalar of the type of v, for a fault's remedy.
func shape(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "a single text"
}

func asWrong(err error, shape string) wrong {
	if w, ok := err.(wrong); ok {
		return w
	}
	return wrong{err.Error(), "write " + shape}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldByKey finds the field of a struct by its YAML name.
func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	i := slices.Index(keysOf(v.Type()), key)
	if i < 0 {
		return reflect.Value{}, false
	}
	return v.Field(i), true
}

// keysOf lists the YAML names of a struct, in the order of its fields.
func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return keys
}

// nearest suggests the known name most similar to a wrong name, or lists all known names.
func nearest(name string, known []string) string {
	plain := func(s string) string {
		return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
	}
	for _, k := range known {
		if plain(k) == plain(name) || len(name) > 3 && distance(plain(k), plain(name)) <= 2 {
			return "did you mean " + k + "?"
		}
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the letters to insert, remove or replace to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
