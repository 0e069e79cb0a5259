package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"usher/config"
)

// TestManualListsEverySetting keeps docs/operations.md complete.
func TestManualListsEverySetting(t *testing.T) {
	manual, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range settings(reflect.TypeFor[config.Config](), "") {
		if !strings.Contains(string(manual), "| `"+path+"` |") {
			t.Errorf("%s is not in the table of settings", path)
		}
	}
}

// settings lists the paths of a config's values.
func settings(t reflect.Type, path string) (paths []string) {
	if t.Kind() != reflect.Struct {
		return []string{path}
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if path != "" {
			name = path + "." + name
		}
		paths = append(paths, settings(t.Field(i).Type, name)...)
	}
	return paths
}

// TestManualListsEveryExitCode keeps the exit codes of the manual.
func TestManualListsEveryExitCode(t *testing.T) {
	manual, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{exitDone, exitOther, exitUsage, exitConfig, exitToken, exitHomeserver, exitDatabase, exitListen, exitFile, exitDoctor} {
		if !strings.Contains(string(manual), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("exit code %d is not in the table", code)
		}
	}
}

// TestReliabilityNamesTests: each test that the promises are shown by is there.
func TestReliabilityNamesTests(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			there[found[1]] = true
			there[path.Base(path.Dir(filepath.ToSlash(name)))+"."+found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"docs/reliability.md", "SECURITY.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range regexp.MustCompile("`((?:[a-z]+\\.)?(?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1) {
			if !there[named[1]] {
				t.Errorf("%s names %s", file, named[1])
			}
		}
	}
}
