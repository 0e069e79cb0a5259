package main

import (
	"fmt"
	"os"
	"reflect"
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
