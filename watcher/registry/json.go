package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

const maxDepth = 64

// checkJSON refuses what nests too deep, has anything behind its end, or names
// a key twice in one object. encoding/json matches names without regard to
// case, so "Manifests" beside "manifests" is twice too, but among annotations.
func checkJSON(body []byte) error {
	c := jsonChecker{dec: json.NewDecoder(bytes.NewReader(body))}
	if err := c.value(0, false); err != nil {
		return err
	}
	if _, err := c.dec.Token(); err != io.EOF {
		return fmt.Errorf("something follows its end")
	}
	return nil
}

type jsonChecker struct{ dec *json.Decoder }

func (c jsonChecker) value(depth int, exact bool) error {
	t, err := c.dec.Token()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		return c.object(depth, exact)
	case json.Delim('['):
		for c.dec.More() {
			if err := c.value(depth+1, false); err != nil {
				return err
			}
		}
		_, err = c.dec.Token()
	}
	return err
}

func (c jsonChecker) object(depth int, exact bool) error {
	seen := map[string]bool{}
	for c.dec.More() {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		key := fmt.Sprint(t)
		id := key
		if !exact {
			id = strings.ToLower(key)
		}
		if seen[id] {
			return fmt.Errorf("the key %.80q stands twice", key)
		}
		seen[id] = true
		if err := c.value(depth+1, key == "annotations" || key == "Labels"); err != nil {
			return err
		}
	}
	_, err := c.dec.Token()
	return err
}
