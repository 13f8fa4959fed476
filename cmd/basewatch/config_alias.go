package main

import (
	"errors"
	"fmt"
	"strings"

	"basewatch/watcher"
)

// Aliases say which registry paths mean others: what is pulled through
// harbor.corp.example/dockerhub is looked at as docker.io. Both sides are
// HOST or HOST/PATH.
type Aliases map[string]string

// Canonical makes the canonical name of an image reference as people write it.
// The longest alias that its repository begins with is applied, once.
func (a Aliases) Canonical(ref string) (string, error) {
	if repository, pattern, ok := watcher.SplitFamily(ref); ok {
		return a.family(repository, pattern)
	}
	r, err := watcher.ParseReference(ref)
	if err != nil {
		return "", err
	}
	from := ""
	for prefix := range a {
		if len(prefix) > len(from) && (r.Name() == prefix || strings.HasPrefix(r.Name(), prefix+"/")) {
			from = prefix
		}
	}
	if from == "" {
		return r.String(), nil
	}
	meant := a[from] + strings.TrimPrefix(r.Name(), from) + ":" + r.Tag
	canonical, err := watcher.Canonical(meant)
	if err != nil {
		return "", fmt.Errorf("by the alias of %q: %w", from, err)
	}
	return canonical, nil
}

// family is Canonical for the name of a family.
func (a Aliases) family(repository, pattern string) (string, error) {
	if _, err := watcher.Canonical(watcher.FamilyRef(repository, pattern)); err != nil {
		return "", err
	}
	ref, err := a.Canonical(repository + ":x")
	if err != nil {
		return "", err
	}
	return watcher.FamilyRef(strings.TrimSuffix(ref, ":x"), pattern), nil
}

// registryPath makes HOST or HOST/PATH canonical.
func registryPath(s string) (string, error) {
	host, path, nested := strings.Cut(s, "/")
	canonical, err := registryHost(host)
	if err != nil {
		return "", err
	}
	if !nested {
		return canonical, nil
	}
	if _, err := watcher.ParseReference(host + "/" + path + "/image"); err != nil {
		return "", fmt.Errorf("%q is no path of a registry; write HOST/PATH, such as harbor.example.com/dockerhub", s)
	}
	return canonical + "/" + path, nil
}

// registryHost makes the host part of image names canonical: the other names
// of Docker Hub are docker.io.
func registryHost(s string) (string, error) {
	if strings.Contains(s, "://") {
		return "", fmt.Errorf("%q has a scheme; write the host as in image names, such as registry.example.com:5000", s)
	}
	// What has neither dot nor port is a path on Docker Hub, not a host.
	if !strings.ContainsAny(s, ".:") && s != "localhost" {
		return "", fmt.Errorf("%q is no host; write it as in image names, such as docker.io or registry.example.com:5000", s)
	}
	r, err := watcher.ParseReference(s + "/path/image")
	if err != nil || r.Repository != "path/image" {
		return "", errors.New(cutQuote(s) + " is no host; write it as in image names, such as docker.io or registry.example.com:5000")
	}
	return r.Host, nil
}
