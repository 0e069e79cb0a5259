package config

import (
	"cmp"
	"encoding"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Prefix begins the name of every environment variable that overrides a setting. The rest is the setting's path in
// capitals, with two underscores for a dot: USHER_HOMESERVER__ADDRESS.
const Prefix = "USHER_"

// fileSuffix marks a variable with the name of a file; the file contains the value.
const fileSuffix = "_FILE"

// overlay puts the values of environment variables into the tree of the file.
func (d *decoder) overlay(root *yaml.Node, environ []string) {
	sort.Strings(environ) // for a stable order of faults
	var ignored []string
	seen := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, Prefix)
		if !ours {
			continue
		}
		keys, target, fromFile := findSetting(rest)
		if target == nil {
			// Others name their variables so too: Kubernetes sets USHER_SERVICE_HOST where a service is called usher.
			if strings.Contains(rest, "__") {
				d.envFault(name, "", wrong{"matches no setting", cmp.Or(nearestVariable(name), "name one of the example config, with two underscores for a dot")})
			} else {
				ignored = append(ignored, "$"+name)
			}
			continue
		}
		path := strings.Join(keys, ".")
		if other, twice := seen[path]; twice {
			d.envFault(name, path, wrong{"is set by $" + other + " too", "keep one of the two"})
			continue
		}
		seen[path] = name
		if fromFile {
			text, err := os.ReadFile(value)
			if err != nil {
				d.envFault(name, path, wrong{"the file can't be read: " + err.Error(), "name a file that Usher may read"})
				continue
			}
			value = strings.TrimRight(string(text), "\r\n")
		}
		node, w := valueNode(value, target)
		if w != nil {
			d.envFault(name, path, *w)
			continue
		}
		d.mark(node, name)
		put(root, keys, node)
	}
	if len(ignored) > 0 {
		d.warnings = append(d.warnings, "no setting matches, so ignored: "+strings.Join(ignored, ", "))
	}
}

// findSetting splits the rest of a variable's name into keys and returns the type of the setting, nil if there is none.
func findSetting(name string) (keys []string, target reflect.Type, fromFile bool) {
	keys = strings.Split(strings.ToLower(name), "__")
	if target = typeAt(keys); target != nil {
		return keys, target, false
	}
	if short, ok := strings.CutSuffix(name, fileSuffix); ok {
		keys = strings.Split(strings.ToLower(short), "__")
		return keys, typeAt(keys), true
	}
	return nil, nil, false
}

// nearestVariable suggests the variable most similar to a wrong one; empty: none is.
func nearestVariable(name string) string {
	var known []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		if t.Kind() != reflect.Struct {
			known = append(known, Prefix+strings.ToUpper(path))
			return
		}
		for i, key := range keysOf(t) {
			walk(t.Field(i).Type, strings.TrimPrefix(path+"__"+key, "__"))
		}
	}
	walk(reflect.TypeFor[Config](), "")
	if guess := nearest(name, known); strings.HasPrefix(guess, "did") {
		return guess
	}
	return ""
}

func typeAt(keys []string) reflect.Type {
	t := reflect.TypeFor[Config]()
	for _, key := range keys {
		if t.Kind() != reflect.Struct {
			return nil
		}
		i := slices.Index(keysOf(t), key)
		if i < 0 {
			return nil
		}
		t = t.Field(i).Type
	}
	return t
}

// valueNode makes a node of a variable's value: text as it is, everything else read as YAML.
func valueNode(value string, t reflect.Type) (*yaml.Node, *wrong) {
	isText := reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || t == reflect.TypeFor[time.Duration]()
	if t.Kind() == reflect.String || isText {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil {
		return nil, &wrong{"is no YAML: " + withoutQuotes(err), "write it as in the file, on one line"}
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if len(doc.Content) > 0 {
		node = doc.Content[0]
	}
	return node, nil
}

// mark records the variable of a value. It removes the line numbers, since they count within the variable.
func (d *decoder) mark(n *yaml.Node, variable string) {
	n.Line = 0
	d.variables[n] = variable
	for _, child := range n.Content {
		d.mark(child, variable)
	}
}

// put sets the node at a path below root and makes missing sections. It changes nothing if a section is not a mapping: the
// decoder finds this fault of the file.
func put(root *yaml.Node, keys []string, node *yaml.Node) {
	for i, key := range keys {
		if root.Kind == yaml.AliasNode {
			section := *root.Alias // the anchor stays as the file has it
			section.Content = slices.Clone(section.Content)
			*root = section
		}
		if root.Kind == 0 || root.Tag == "!!null" {
			*root = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line}
		}
		if root.Kind != yaml.MappingNode {
			return
		}
		at := 0
		for at < len(root.Content) && root.Content[at].Value != key {
			at += 2
		}
		if at == len(root.Content) {
			root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, &yaml.Node{})
		}
		if i == len(keys)-1 {
			root.Content[at+1] = node
			return
		}
		root = root.Content[at+1]
	}
}
