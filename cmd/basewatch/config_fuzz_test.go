package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfig proves that no file makes the loader panic, that an error always
// has a place, and that what is accepted can be used.
func FuzzConfig(f *testing.F) {
	seeds, err := filepath.Glob("testdata/config/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(seeds, exampleFile) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add([]byte(uncommented(string(data))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// Files of this machine have no part in it.
		if strings.Contains(string(data), "file:") || strings.Contains(string(data), "include") || strings.Contains(string(data), "ca_file") {
			t.Skip()
		}
		c := &checker{problems: newProblems(places{}), via: map[keyPath]string{}}
		files, err := readFiles("", c.problems)
		if err != nil {
			t.Fatal(err)
		}
		files.addFile("fuzz.toml", data, nil)
		cfg, err := buildConfig(c, files, nil)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "fuzz.toml:") {
					t.Errorf("no place: %s", line)
				}
			}
			return
		}
		for _, target := range cfg.Targets {
			if err := target.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
